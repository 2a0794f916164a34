################################################################################
#
# tillstick
#
################################################################################

TILLSTICK_VERSION = 0.1.0
# Where `make dist` puts the release tarball. It ships VENDOR/, so that
# nothing else is downloaded.
TILLSTICK_SITE = $(BR2_EXTERNAL_TILLSTICK_PATH)/dist
TILLSTICK_SITE_METHOD = file
TILLSTICK_LICENSE = MIT or Apache-2.0
TILLSTICK_LICENSE_FILES = LICENSE-MIT LICENSE-APACHE
TILLSTICK_DEPENDENCIES = host-pkgconf udev

TILLSTICK_FEATURES = \
	$(if $(BR2_PACKAGE_TILLSTICK_ENCRYPTION),encryption) \
	$(if $(BR2_PACKAGE_TILLSTICK_FTP),ftp) \
	$(if $(BR2_PACKAGE_TILLSTICK_S3),s3) \
	$(if $(BR2_PACKAGE_TILLSTICK_SFTP),sftp) \
	$(if $(BR2_PACKAGE_TILLSTICK_WEB),web)
TILLSTICK_CARGO_BUILD_OPTS = --bin tillstick --no-default-features \
	--features "$(strip $(TILLSTICK_FEATURES))"
TILLSTICK_CARGO_INSTALL_OPTS = $(TILLSTICK_CARGO_BUILD_OPTS)

# The short instructions, as C programs get them by this option: a quarter
# smaller. Rust's target would use the long ones.
ifeq ($(BR2_ARM_INSTRUCTIONS_THUMB2),y)
TILLSTICK_CARGO_ENV = \
	CARGO_TARGET_$(call UPPERCASE,$(RUSTC_TARGET_NAME))_RUSTFLAGS="-C target-feature=+thumb-mode"
endif

define TILLSTICK_INSTALL_UDEV_RULES
	$(INSTALL) -D -m 0644 $(@D)/udev-rules/70-tillstick.rules \
		$(TARGET_DIR)/lib/udev/rules.d/70-tillstick.rules
endef
TILLSTICK_POST_INSTALL_TARGET_HOOKS += TILLSTICK_INSTALL_UDEV_RULES

define TILLSTICK_INSTALL_INIT_SYSV
	$(INSTALL) -D -m 0755 $(TILLSTICK_PKGDIR)/S60tillstick \
		$(TARGET_DIR)/etc/init.d/S60tillstick
endef

define TILLSTICK_INSTALL_INIT_SYSTEMD
	$(INSTALL) -D -m 0644 $(@D)/packaging/systemd/tillstick.service \
		$(TARGET_DIR)/usr/lib/systemd/system/tillstick.service
endef

# Members of this group may talk to the agent.
define TILLSTICK_USERS
	- - tillstick -1 - - - - Tillstick
endef

define TILLSTICK_PERMISSIONS
	/var/lib/tillstick d 0700 root root - - - - -
endef

$(eval $(cargo-package))
