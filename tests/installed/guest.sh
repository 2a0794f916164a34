#!/bin/sh
# Runs inside the machine, as a service beside the unit: what anybody else on the box sees of it.
export PATH=/bin:/sbin:/usr/bin HOME=/root LC_ALL=C

must() { # what is true, and the command that shows it
  what=$1
  shift
  if out=$("$@" 2>&1); then echo "ok      $what"; else echo "FAILED  $what: $out"; fi
}
must_not() {
  what=$1
  shift
  if out=$("$@" 2>&1); then echo "FAILED  $what: $out"; else echo "ok      $what"; fi
}
# Waits up to 60 s.
comes() {
  for _ in $(seq 300); do
    "$@" >/dev/null 2>&1 && return 0
    sleep 0.2
  done
  "$@"
}
status_has() { tillstick status --json | tr -d ' \n' | grep -q "$1"; }
is_mounted() { grep -q " /media/usb0 .* vfat " /proc/self/mountinfo; }
restarted() { systemctl is-active tillstick && test "$(systemctl show -P NRestarts tillstick)" -ge "$1"; }
is_gone() { ! is_mounted; }
# The unit with other settings, from the start; its stick has its copy and is shown, as the agent sees it.
with() {
  mkdir -p /etc/systemd/system/tillstick.service.d
  printf '[Service]\n%s\n' "$@" > /etc/systemd/system/tillstick.service.d/test.conf
  systemctl daemon-reload
  systemctl restart tillstick && comes status_has '"mounted":true'
}

must "the unit is active, so it has told that it is ready" comes systemctl is-active tillstick
must "a stick that is in gets its backup and is shown" comes status_has '"state":"safe".*"mounted":true'
must "a process outside sees /media/usb0" is_mounted
must "the first process of the machine sees it" grep -q ' /media/usb0 ' /proc/1/mountinfo
must "the dump is there for anybody" su nobody -s /bin/sh -c 'test -s /media/usb0/104711_kasse.sql.gz'
must "strange sticks are read under landlock and seccomp" status_has '"confinement":{"landlock":[1-9][0-9]*,"seccomp":true}'
must "a member of the group may ask" su cashier -s /bin/sh -c 'tillstick status'
must_not "anybody else may not" su nobody -s /bin/sh -c 'tillstick status'
must "the state is the agent's alone" test "$(stat -c '%a %U' /var/lib/tillstick)" = "700 root"
must "the watchdog runs" test "$(systemctl show -P WatchdogTimestampMonotonic tillstick)" != 0

systemctl kill -s KILL tillstick
must "killed, it comes back and shows the stick again" comes restarted 1
must "and a process outside sees it" comes is_mounted
systemctl stop tillstick
must "a stop is clean" test "$(systemctl show -P Result tillstick)" = success
must "and takes the mount away" comes is_gone

must "programs of others run under the unit" with 'ExecStartPre=/usr/bin/sqlite3 /srv/till/kasse.db "select sum(total) from receipt"' 'ExecStartPre=/bin/sh -c "echo hook > /run/hook && chown cashier /run/hook"' 'ExecStartPre=/bin/su cashier -s /bin/sh -c true'
must "and what they did is there" test "$(cat /run/hook)" = hook
# A unit that notes when it starts and stops.
printf '[Service]\nExecStart=/bin/sh -c "echo start >> /run/quiet; exec sleep 100000"\nExecStopPost=/bin/sh -c "echo stop >> /run/quiet"\n' > /etc/systemd/system/quiet.service
mkdir -p /etc/tillstick/conf.d
printf '[quiesce]\nstop_units = ["quiet.service", "is-not-there.service"]\n' > /etc/tillstick/conf.d/quiet.toml
systemctl daemon-reload
systemctl start quiet
must "the agent takes a unit to hold still into its configuration" with WatchdogSec=30
must "a backup by the agent is made" tillstick backup
must "the unit stood still for it, and runs again" test "$(tr '\n' ' ' < /run/quiet | sed 's/^start \(stop start \)\{1,\}$/good/')" = good
rm -r /etc/tillstick/conf.d
must "an agent that hangs is started again" with WatchdogSec=2
kill -STOP "$(systemctl show -P MainPID tillstick)"
must "by the watchdog" comes restarted 1

# Which settings hide the mounts, each by itself, when it is asked for (SETTINGS=1): for the comment in the unit and docs/INTEGRATOR.md.
settings() {
  for setting in NoNewPrivileges=yes PrivateTmp=yes PrivateDevices=yes PrivateMounts=yes ProtectSystem=full ProtectHome=yes \
    ReadWritePaths=/var ReadOnlyPaths=/usr ProtectKernelTunables=yes ProtectKernelModules=yes ProtectKernelLogs=yes \
    ProtectControlGroups=yes ProtectProc=invisible ProcSubset=pid PrivateNetwork=yes PrivateUsers=yes PrivateIPC=yes \
    MountFlags=shared MountFlags=slave 'ProtectSystem=full MountFlags=shared' TemporaryFileSystem=/mnt InaccessiblePaths=/root; do
    word='no stick'
    # shellcheck disable=SC2086 # several settings are several lines
    if with $setting; then
      word=hidden
      is_mounted && word=seen
    fi
    echo "$word  $setting"
  done
}
if grep -q tillstick.settings /proc/cmdline; then settings; fi
journalctl -b -u tillstick --no-pager -o cat | tail -n 40 | sed 's/^/journal  /'
echo end
poweroff -f
