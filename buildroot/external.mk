include $(sort $(wildcard $(BR2_EXTERNAL_TILLSTICK_PATH)/package/*/*.mk))
