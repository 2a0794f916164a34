#!/usr/bin/env python3
"""Dump and restore of MariaDB and PostgreSQL next to what one would use instead; servers as in tests/servers.

Usage: servers.py CACHE [--rows N] [--rounds N] ; needs target/release/tillstick (or TILLSTICK).
Prints medians of wall seconds, each as a share of the pipe's, and sizes.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time

parser = argparse.ArgumentParser()
parser.add_argument("cache")
parser.add_argument("--rows", type=int, default=1_000_000)
parser.add_argument("--rounds", type=int, default=3)
args = parser.parse_args()
ROOT = os.path.join(os.path.abspath(args.cache), "root")
TOOL = os.path.abspath(os.environ.get("TILLSTICK", "target/release/tillstick"))
PG = f"{ROOT}/usr/lib/postgresql/15/bin"
HOME = tempfile.mkdtemp(prefix="tillbench-")
os.chmod(HOME, 0o755)
AS = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
STARTED = []


def folder(name):
    path = f"{HOME}/{name}"
    os.mkdir(path)
    if AS:
        shutil.chown(path, "nobody", "nogroup")
    return path


def shell(command):
    subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True)


def timed(command):
    begin = time.monotonic()
    shell(command)
    return time.monotonic() - begin


def until(command):
    while subprocess.run(["bash", "-c", command], capture_output=True).returncode:
        time.sleep(0.1)


def mariadb():
    home = folder("m")
    share = f"{ROOT}/usr/share/mysql"
    server = AS + [f"{ROOT}/usr/sbin/mariadbd", "--no-defaults", f"--datadir={home}/data", f"--lc-messages-dir={share}",
                   f"--character-sets-dir={share}/charsets", f"--tmpdir={home}", "--innodb-buffer-pool-size=512M",
                   "--innodb-log-file-size=256M", "--log-warnings=0"]
    subprocess.run(AS + ["mkdir", f"{home}/data"], check=True)
    with open(f"{args.cache}/system-tables.sql", "rb") as tables:
        subprocess.run(server + ["--bootstrap"], stdin=tables, check=True, stderr=subprocess.DEVNULL)
    STARTED.append(subprocess.Popen(server + [f"--socket={home}/s", "--skip-networking"], stderr=subprocess.DEVNULL))
    login = f"--no-defaults -uroot --socket={home}/s"
    client = f"{ROOT}/usr/bin/mariadb {login}"
    until(f"{client} -e 'select 1'")
    shell(f"""{client} -e "create database shop; use shop; create table line(id int primary key auto_increment, bon int, article varchar(40),
      amount decimal(10,2), vat tinyint, at datetime, note varchar(60), key(bon));
      insert into line select seq, seq div 5, concat('article ', mod(seq*7919, 3000)), mod(seq*31, 9999)/100, if(mod(seq,3),19,7),
      '2024-01-01' + interval seq*37 second, if(mod(seq,11), '', md5(seq)) from seq_1_to_{args.rows}" """)
    url = f"mariadb://root@localhost/%s?socket={home}/s&programs={ROOT}/usr/bin"
    return {
        "name": "MariaDB",
        "raw": f"{ROOT}/usr/bin/mariadb-dump {login} --single-transaction --quick --routines --events --hex-blob shop",
        "url": url,
        "change": f"""{client} shop -e "update line set amount=amount+1 where id > {args.rows} * 0.995;
          insert into line(bon, article, amount, vat, at) select bon, article, amount, vat, at from line limit {args.rows // 200}" """,
        "make": f"{client} -e 'create database pipe'",
        "load": f"{client} pipe",
        "drop": f"{client} -e 'drop database if exists pipe; drop database if exists ours'",
    }


def postgresql():
    home = folder("p")
    subprocess.run(AS + [f"{PG}/initdb", "-D", f"{home}/data", "-U", "postgres", "-A", "trust", "--locale=C.UTF-8", "-E", "UTF8"],
                   check=True, stdout=subprocess.DEVNULL)
    STARTED.append(subprocess.Popen(AS + [f"{PG}/postgres", "-D", f"{home}/data", "-k", home, "-c", "listen_addresses=",
                                          "-c", "shared_buffers=512MB", "-c", "max_wal_size=4GB"], stderr=subprocess.DEVNULL))
    psql = f"{PG}/psql -XqAt -U postgres -h {home}"
    until(f"{psql} -d postgres -c 'select 1'")
    shell(f"""{psql} -d postgres -c 'create database shop' && {psql} -d shop -c "create table line as select i as id, i/5 as bon,
      'article ' || (i::bigint*7919)%3000 as article, ((i::bigint*31)%9999)/100.0 as amount, case when i%3>0 then 19 else 7 end as vat,
      timestamp '2024-01-01' + i*37 * interval '1 second' as at, case when i%11>0 then '' else md5(i::text) end as note
      from generate_series(1,{args.rows}) i" -c "alter table line add primary key(id)" -c "create index on line(bon)" """)
    return {
        "name": "PostgreSQL",
        "raw": f"{PG}/pg_dump -U postgres -h {home} shop",
        "url": f"postgresql://postgres@localhost/%s?host={home}&programs={PG}",
        "change": f"""{psql} -d shop -c "update line set amount=amount+1 where id > {args.rows} * 0.995"
          -c "insert into line select id+10000000, bon, article, amount, vat, at, note from line limit {args.rows // 200}" """.replace("\n", " "),
        "make": f"{psql} -d postgres -c 'create database pipe'",
        "load": f"{psql} -v ON_ERROR_STOP=1 -1 -o /dev/null -d pipe",
        "drop": f"{psql} -d postgres -c 'drop database if exists pipe' -c 'drop database if exists ours'",
    }


def measure(server):
    out = f"{HOME}/{server['name']}"
    own = lambda url, name, more="": f"{TOOL} -q dump '{url}' -o {out}.{name}.gz {more}"
    source = server["url"] % "shop"
    times = {key: [] for key in ("raw", "pipe", "first", "again", "pipe restore", "restore")}
    for _ in range(args.rounds):
        times["raw"].append(timed(f"{server['raw']} > /dev/null"))
        times["pipe"].append(timed(f"{server['raw']} | gzip -6 > {out}.pipe.gz"))
        times["first"].append(timed(own(source, "first", "--level 6")))
        times["again"].append(timed(own(source, "again", f"--level 6 --reuse {out}.first.gz")))
        shell(server["drop"] + " 2>/dev/null")
        times["pipe restore"].append(timed(f"{server['make']} && zcat {out}.pipe.gz | {server['load']}"))
        times["restore"].append(timed(f"{TOOL} -q load {out}.first.gz '{server['url'] % 'ours'}'"))
        shell(server["drop"] + " 2>/dev/null")
    shell(server["change"])
    times["after 1 %"] = [timed(own(source, "changed", f"--level 6 --reuse {out}.first.gz")) for _ in range(args.rounds)]
    median = {key: statistics.median(value) for key, value in times.items()}
    size = lambda name: os.path.getsize(f"{out}.{name}.gz")
    print(f"{server['name']}: {args.rows} rows; the pipe gives {size('pipe') / 1e6:.1f} MB, ours {size('first') / 1e6:.1f} MB")
    for key, value in median.items():
        of = median["pipe restore"] if "restore" in key else median["pipe"]
        print(f"  {key:14} {value:7.2f} s  {value / of:5.2f}")


try:
    for start in (mariadb, postgresql):
        measure(start())
finally:
    for process in STARTED:
        process.kill()
    shutil.rmtree(HOME, ignore_errors=True)
