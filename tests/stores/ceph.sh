#!/usr/bin/env bash
# Starts Ceph of the cache, with its gateway for S3, in the folder DIR: one monitor, one OSD in memory, one gateway on PORT, and
# with TLS on PORT + 2. It needs no root. Says `ready`, and goes on until its standard input is closed: whoever started it may
# die as it likes.
# Usage: ceph.sh CACHE DIR PORT TLS [SIZE]; TLS holds srv.pem and srv.key, SIZE is what it can hold, in bytes
set -euo pipefail
root=$1/root dir=$2 port=$3 tls=$4 size=${5:-3221225472}
export LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu/ceph
export PYTHONPATH=$root/usr/lib/python3/dist-packages PATH=$root/usr/bin:$PATH
export CEPH_CONF=$dir/ceph.conf

mkdir -p "$dir"/{mon,osd,rgw,log,run}
pids=()
stop() { kill -KILL "${pids[@]}" 2>/dev/null || true; }
trap stop EXIT

fsid=$(cat /proc/sys/kernel/random/uuid)
cat > "$CEPH_CONF" <<C
[global]
fsid = $fsid
mon host = v1:127.0.0.1:$((port + 1))
mon initial members = a
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
ms bind msgr2 = false
ms bind port min = $((port + 3))
ms bind port max = $((port + 40))
auth cluster required = none
auth service required = none
auth client required = none
keyring = $dir/keyring
run dir = $dir/run
admin socket = $dir/run/\$name.\$pid.asok
log file = $dir/log/\$name.log
plugin dir = $root/usr/lib/x86_64-linux-gnu/ceph
erasure code dir = $root/usr/lib/x86_64-linux-gnu/ceph/erasure-code
osd class dir = $root/usr/lib/x86_64-linux-gnu/rados-classes
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
mon allow pool size one = true
osd crush chooseleaf type = 0
mon data = $dir/mon
mon data avail crit = 1
mon data avail warn = 2
mon osd full ratio = .99
mon max pg per osd = 2000
mon osd min up ratio = 0
osd data = $dir/osd
osd objectstore = memstore
memstore device bytes = $size
osd heartbeat grace = 60
rgw data = $dir/rgw
rgw frontends = beast endpoint=127.0.0.1:$port ssl_endpoint=127.0.0.1:$((port + 2)) ssl_certificate=$tls/srv.pem ssl_private_key=$tls/srv.key
rgw rados pool pg num min = 1
rgw enable usage log = false
rgw dns name = localhost
rgw thread pool size = 32
rgw verify ssl = false
paxos propose interval = 0.05
paxos min wait = 0.02
C
ceph-authtool --create-keyring "$dir/keyring" --gen-key -n mon. --cap mon 'allow *' > /dev/null
ceph-authtool "$dir/keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' > /dev/null
monmaptool --create --fsid "$fsid" --addv a "[v1:127.0.0.1:$((port + 1))]" "$dir/monmap" > /dev/null

# Run in the background with its output in a log.
serve() { "$@" -f < /dev/null > "$dir/log/$1.out" 2>&1 & pids+=($!); }
comes() { for _ in $(seq 600); do "$@" && return; sleep 0.1; done; echo "not there after a minute: $*" >&2; exit 1; }
# Nothing that a client asks for may take for ever.
soon() { timeout -k 5 60 "$@"; }
# One that asks before it knows the monitors' map is told "wrong fsid" and ends: it is started again.
osd_is_up() {
  kill -0 "${pids[-1]}" 2> /dev/null || serve ceph-osd -i 0
  soon ceph osd stat 2> /dev/null | grep -q ' 1 up'
}
gateway_answers() { curl -s -m 10 -o /dev/null "http://127.0.0.1:$port/"; }

ceph-mon -i a --mkfs --monmap "$dir/monmap" --keyring "$dir/keyring" > "$dir/log/mkfs.out" 2>&1
serve ceph-mon -i a
osd=$(cat /proc/sys/kernel/random/uuid)
soon ceph osd new "$osd" > /dev/null
ceph-osd -i 0 --mkfs --osd-uuid "$osd" > "$dir/log/mkfs.out" 2>&1
serve ceph-osd -i 0
comes osd_is_up
serve radosgw -n client.rgw
comes gateway_answers
soon radosgw-admin user create --uid=till --display-name=till --access-key=AKTEST --secret-key=SKTEST > "$dir/log/user.out" 2>&1
echo ready
cat > /dev/null
