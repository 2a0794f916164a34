#!/usr/bin/env bash
# Unpacks MariaDB and PostgreSQL of this Debian into a cache, for servers that tests start themselves. Nothing becomes a
# service: of the packages only the libraries that the programs need are installed, where they are missing.
# Usage: prepare.sh CACHE
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cache=$(cd "$1" && pwd)

servers=(mariadb-server-core mariadb-client-core mariadb-client postgresql-15 postgresql-client-15)
libraries=(libpq5 libaio1 libnuma1 liburing2 libmariadb3 libedit2 libncurses6 libllvm14 libldap-2.5-0 libxslt1.1 libicu72 libgssapi-krb5-2)

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

unpack() {
  [ -e "$cache/unpacked" ] && return
  echo "unpacking ${servers[*]} into $cache"
  as_root apt-get update -qq
  rm -rf "$cache/debs" "$cache/root"
  mkdir -p "$cache/debs" "$cache/root"
  # apt's own user may not write here; root then fetches itself, and apt warns of it.
  (cd "$cache/debs" && apt-get download -qq -o APT::Sandbox::User=root "${servers[@]}")
  for deb in "$cache"/debs/*.deb; do dpkg -x "$deb" "$cache/root"; done
  rm -rf "$cache/debs"
  touch "$cache/unpacked"
}

# What MariaDB's own installation script gives to a new server, in its order.
system_tables() {
  local share="$cache/root/usr/share/mysql" file
  echo 'create database mysql;'
  echo 'use mysql;'
  echo 'set @auth_root_socket=NULL;'
  for file in mysql_system_tables mysql_performance_tables mysql_system_tables_data maria_add_gis_sp_bootstrap mysql_sys_schema; do
    sed '/@current_hostname/d' "$share/$file.sql"
  done
}

"$here/../../packaging/install.sh" "${libraries[@]}"
unpack
if [ ! -e "$cache/system-tables.sql" ]; then
  system_tables > "$cache/system-tables.new"
  mv "$cache/system-tables.new" "$cache/system-tables.sql"
fi
