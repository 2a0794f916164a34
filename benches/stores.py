#!/usr/bin/env python3
"""Copies to stores next to what one would use instead, against the same servers, in turn; servers as in tests/stores.

Usage: stores.py CACHE [--mb N] [--rounds N] [--big GIB] [--only WORD]; needs target/release/tillstick (or TILLSTICK), rclone, lftp, curl, sftp.
Prints medians of wall seconds, each as a share of the fastest other's; our peak memory; and for S3 what an unchanged cycle asks for.
All files lie in memory where there is /dev/shm: what is compared are the programs.
"""
import argparse
import collections
import glob
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time

parser = argparse.ArgumentParser()
parser.add_argument("cache")
parser.add_argument("--mb", type=int, default=100)
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--big", type=float, default=4, help="size in GiB of the file for peak memory; 0: none")
parser.add_argument("--only", default="", help="a word of the server's name: S3, SFTP, FTPS, vsftpd")
parser.add_argument("--dir", default="/dev/shm" if os.path.isdir("/dev/shm") else None)
args = parser.parse_args()
CACHE = os.path.abspath(args.cache)
ROOT = f"{CACHE}/root"
LIBS = f"{ROOT}/usr/lib/x86_64-linux-gnu"
REPO = pathlib.Path(__file__).resolve().parent.parent
TOOL = os.path.abspath(os.environ.get("TILLSTICK", "target/release/tillstick"))
HOME = tempfile.mkdtemp(prefix="storebench-", dir=args.dir)
os.chmod(HOME, 0o755)
ACCOUNT, GROUP = ("daemon", "daemon") if os.geteuid() == 0 else (os.environ["USER"], None)
AS = ["setpriv", "--reuid=daemon", "--regid=daemon", "--clear-groups"] if os.geteuid() == 0 else []
STARTED = []
# Files outside of our folder.
LEFT = []
for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
    del os.environ[name]


def shell(command, **more):
    subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True, stdout=subprocess.DEVNULL, **more)


def write(path, text, mode=0o600):
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


def free_port(beside=0):
    for port in range(20_000, 32_000, 50):
        try:
            for at in range(port, port + beside + 1):
                socket.create_server(("127.0.0.1", at)).close()
            return port
        except OSError:
            continue
    raise SystemExit("no ports are free")


def start(command, port, **more):
    STARTED.append(subprocess.Popen(command, stderr=open(f"{HOME}/server.log", "a"), **more))
    for _ in range(600):
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{command[0]} does not start")


class Place:
    """A server with a folder of its own, where files may be looked at."""

    def __init__(self, name):
        self.home = f"{HOME}/{name}"
        self.files = f"{self.home}/files"
        os.makedirs(self.files)

    def own(self):
        if AS:
            shell(f"chown -R {ACCOUNT}:{GROUP} {self.home}")

    def asked(self):
        return []

    def empty(self):
        shell(f"rm -rf {self.files}/*")


class Sftp(Place):
    name = "SFTP, OpenSSH"

    def __init__(self):
        super().__init__("sftp")
        self.port = free_port()
        # What lies in root's own folder is out of its account's reach.
        shutil.copy(f"{ROOT}/usr/sbin/sshd", self.home)
        shutil.copy(f"{LIBS}/libwrap.so.0", self.home)
        for key in ("host", "client"):
            shell(f"ssh-keygen -q -t ed25519 -N '' -f {self.home}/{key}")
        write(f"{self.home}/config", f"""ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self.home}/host\nAuthorizedKeysFile {self.home}/client.pub
PidFile none\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nLogLevel ERROR
Subsystem sftp internal-sftp\nForceCommand internal-sftp -d {self.files}\n""", 0o644)
        self.key = shutil.copy(f"{self.home}/client", f"{HOME}/key")
        with open(f"{self.home}/host.pub") as key:
            self.host_key = key.read().strip()
        self.known = write(f"{HOME}/known", f"[127.0.0.1]:{self.port} {self.host_key}\n")
        self.own()
        start(AS + [f"{self.home}/sshd", "-D", "-e", "-f", f"{self.home}/config"], self.port,
              env={"LD_LIBRARY_PATH": self.home, "PATH": os.environ["PATH"]})

    def table(self, _round):
        return f'type = "sftp"\nhost = "127.0.0.1"\nport = {self.port}\nuser = "{ACCOUNT}"\npath = "."\nhost_key = "{self.host_key}"\nkey_file = "{self.key}"'

    def others(self, file, _round):
        login = f"-i {self.key} -o UserKnownHostsFile={self.known} -o IdentitiesOnly=yes -P {self.port}"
        at = f"{ACCOUNT}@127.0.0.1"
        rclone = f"RCLONE_CONFIG_X_TYPE=sftp RCLONE_CONFIG_X_HOST=127.0.0.1 RCLONE_CONFIG_X_PORT={self.port} RCLONE_CONFIG_X_USER={ACCOUNT}" \
                 f" RCLONE_CONFIG_X_KEY_FILE={self.key} RCLONE_CONFIG_X_KNOWN_HOSTS_FILE={self.known} RCLONE_CONFIG_X_SHELL_TYPE=none"
        return {
            "sftp -f": f"echo 'put -f {file} a' | sftp -q {login} -b - {at}",
            "sftp -f, and back": f"printf 'put -f {file} b\\nget b {HOME}/back' | sftp -q {login} -b - {at} && cmp {file} {HOME}/back",
            "scp": f"scp -q {login} {file} {at}:c",
            "rclone": f"{rclone} rclone --config '' copyto {file} x:{self.files}/d",
        }


class Ftp(Place):
    name, folder = "FTPS, proftpd", "ftp"

    def __init__(self):
        super().__init__(self.folder)
        self.port = free_port(20)
        self.password = write(f"{HOME}/pw", "testpw\n")
        self.netrc = write(f"{HOME}/netrc", "machine localhost login t password testpw\n")
        self.hashed = subprocess.check_output(["openssl", "passwd", "-6", "testpw"], text=True).strip()
        start(self.command(), self.port, env={"LD_LIBRARY_PATH": f"{LIBS}:{ROOT}/lib/x86_64-linux-gnu", "PATH": os.environ["PATH"]})

    def command(self):
        user, group = ("nobody", "nogroup") if os.geteuid() == 0 else (ACCOUNT, subprocess.check_output(["id", "-gn"], text=True).strip())
        uid, gid = (65_534, 65_534) if os.geteuid() == 0 else (os.getuid(), os.getgid())
        write(f"{self.home}/passwd", f"t:{self.hashed}:{uid}:{gid}::{self.files}:/bin/false\n")
        if AS:
            shell(f"chown {user}:{group} {self.files}")
        config = write(f"{self.home}/config", f"""ServerType standalone\nServerName bench\nDefaultAddress 127.0.0.1\nSocketBindTight on\nPort {self.port}
PassivePorts {self.port + 1} {self.port + 20}\nUseIPv6 off\nUser {user}\nGroup {group}\nModulePath {ROOT}/usr/lib/proftpd\nControlsEngine off
PidFile {self.home}/pid\nScoreboardFile {self.home}/scoreboard\nDelayEngine off\nAuthOrder mod_auth_file.c\nAuthUserFile {self.home}/passwd\nAuthPAM off
RequireValidShell off\nUseFtpUsers off\nWtmpLog off\nSystemLog {self.home}/log\nTransferLog none\nUseReverseDNS off\nAllowStoreRestart on
AllowRetrieveRestart on\nAllowOverwrite on\nLoadModule mod_tls.c\nLoadModule mod_tls_shmcache.c\nTLSEngine on\nTLSRequired on\nTLSLog {self.home}/tls.log
TLSECCertificateFile {CACHE}/tls/srv.pem\nTLSECCertificateKeyFile {CACHE}/tls/srv.key\nTLSProtocol TLSv1.2 TLSv1.3
TLSSessionCache shm:/file={self.home}/sessions\n""")
        return [f"{ROOT}/usr/sbin/proftpd", "-n", "-q", "-c", config]

    def table(self, _round):
        return f'type = "ftp"\ntls = "explicit"\nhost = "localhost"\nport = {self.port}\nuser = "t"\npassword_file = "{self.password}"\nca_file = "{CACHE}/tls/ca.pem"'

    def others(self, file, _round):
        ca, url = f"{CACHE}/tls/ca.pem", f"localhost:{self.port}"
        lftp = f"set ssl:ca-file {ca}; set ftp:ssl-force true; set ftp:ssl-protect-data true; open -u t,testpw {url}"
        curl = f"curl -sSf --ssl-reqd --cacert {ca} --netrc-file {self.netrc}"
        return {
            "curl": f"{curl} -T {file} ftp://{url}/a",
            "curl, and back": f"{curl} -T {file} ftp://{url}/b && {curl} -o {HOME}/back ftp://{url}/b && cmp {file} {HOME}/back",
            "lftp": f"lftp -c '{lftp}; put {file} -o c'",
        }


class Vsftpd(Ftp):
    """It runs as root alone."""

    name, folder = "FTPS, vsftpd", "vsftpd"

    def command(self):
        shell(f"chown daemon:daemon {self.files}")
        os.mkdir(f"{self.home}/empty", 0o555)
        write(f"{self.home}/passwd", f"t:{self.hashed}\n")
        service, pem = f"tillstick-bench-{self.port}", f"{CACHE}/tls/rsa.pem"
        module, = glob.glob(f"{ROOT}/**/security/pam_pwdfile.so", recursive=True)[:1]
        LEFT.append(write(f"/etc/pam.d/{service}", f"auth required {module} pwdfile {self.home}/passwd\naccount required pam_permit.so\n"))
        config = write(f"{self.home}/config", f"""listen=YES\nlisten_ipv6=NO\nbackground=NO\nlisten_address=127.0.0.1\nlisten_port={self.port}
pasv_min_port={self.port + 1}\npasv_max_port={self.port + 20}\npasv_address=127.0.0.1\nanonymous_enable=NO\nlocal_enable=YES\nwrite_enable=YES
guest_enable=YES\nguest_username=daemon\nvirtual_use_local_privs=YES\nlocal_root={self.files}\nchroot_local_user=YES\nallow_writeable_chroot=YES
pam_service_name={service}\nsecure_chroot_dir={self.home}/empty\nnopriv_user=nobody\nseccomp_sandbox=NO\nisolate_network=NO\nisolate=NO
xferlog_enable=NO\nlocal_umask=077\nssl_enable=YES\nforce_local_logins_ssl=YES\nforce_local_data_ssl=YES\nrequire_ssl_reuse=YES
strict_ssl_read_eof=YES\nssl_ciphers=HIGH\nrsa_cert_file={pem}\nrsa_private_key_file={pem}\n""")
        return [f"{ROOT}/usr/sbin/vsftpd", config]


class S3:
    name = "S3, Ceph"

    def __init__(self):
        self.port, self.home = free_port(45), f"{HOME}/ceph"
        os.mkdir(self.home)
        server = subprocess.Popen([REPO / "tests/stores/ceph.sh", CACHE, self.home, str(self.port), f"{CACHE}/tls", str(12 << 30)],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        STARTED.append(server)
        if server.stdout.readline() != "ready\n":
            raise SystemExit("Ceph does not start")
        self.secret = write(f"{HOME}/secret", "SKTEST\n")
        self.url = f"http://127.0.0.1:{self.port}"
        self.curl = "curl -sSf --aws-sigv4 aws:amz:us-east-1:s3 --user AKTEST:SKTEST"
        nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        shell(f"{self.curl} -X PUT -H 'x-amz-content-sha256: {nothing}' {self.url}/bench")

    def table(self, round):
        return f'type = "s3"\nendpoint = "{self.url}"\nbucket = "bench"\nprefix = "r{round}"\naccess_key = "AKTEST"\nsecret_key_file = "{self.secret}"'

    def others(self, file, round):
        rclone = f"RCLONE_CONFIG_X_TYPE=s3 RCLONE_CONFIG_X_PROVIDER=Ceph RCLONE_CONFIG_X_ACCESS_KEY_ID=AKTEST RCLONE_CONFIG_X_SECRET_ACCESS_KEY=SKTEST" \
                 f" RCLONE_CONFIG_X_ENDPOINT={self.url} rclone --config '' copyto --s3-no-check-bucket"
        # In curl's command the sum of what is sent is made beside, as its signature wants it.
        return {
            "rclone": f"{rclone} {file} x:bench/o{round}/a",
            "rclone, in parts": f"{rclone} --s3-upload-cutoff 0 {file} x:bench/o{round}/b",
            "curl": f"{self.curl} -T {file} -H \"x-amz-content-sha256: $(sha256sum {file} | cut -c-64)\" {self.url}/bench/o{round}/c",
        }

    def empty(self):
        """Objects are removed for good later: there is room."""

    def asked(self):
        """What was asked for so far: methods, and for how many seconds the service was at work for each."""
        lines = (line for path in glob.glob(f"{self.home}/log/*rgw*.log") for line in open(path, errors="replace"))
        found = map(re.compile(r'beast: .*?"([A-Z]+) /.* latency=([0-9.]+)s').search, lines)
        return [(one[1], float(one[2])) for one in found if one]


class Box:
    """A box with one backup of a file that nothing compresses."""

    def __init__(self, name, size, stays=False):
        self.home = f"{HOME}/{name}"
        os.makedirs(f"{self.home}/data")
        shell(f"head -c {size} /dev/urandom > {self.home}/data/noise")
        self.configure("")
        self.run("backup", "--no-copy")
        if not stays:
            os.remove(f"{self.home}/data/noise")
        self.artifact, = glob.glob(f"{self.home}/backups/*/*.tar.gz")

    def configure(self, table):
        write(f"{self.home}/tillstick.toml", f"""customer = "4711"\nbox = "b"\ntime_zone = "UTC"\nstate = "{self.home}/state"\n[primary]\ndir = "{self.home}/backups"
min_free = "1MB"\n[sources.data]\ntype = "files"\npaths = ["{self.home}/data"]\n{table and '[stores.away]'}\n{table}\n""")

    def run(self, *verb):
        """Seconds, and MiB at the peak."""
        begun = time.monotonic()
        child = subprocess.Popen([TOOL, "-q", *verb, "--config", f"{self.home}/tillstick.toml"], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            raise SystemExit(f"{verb} ended with {child.returncode}")
        return time.monotonic() - begun, usage.ru_maxrss / 1024


def measure(place, box):
    times, peaks, service = collections.defaultdict(list), [], []
    for round in range(args.rounds + 1):
        box.configure(place.table(round))
        before = len(place.asked())
        took, peak = box.run("copy", "--to", "away")
        time.sleep(0.2)
        spent = sum(seconds for _, seconds in place.asked()[before:])
        place.empty()
        runs = {"tillstick copy": took}
        for name, command in place.others(box.artifact, round).items():
            begun = time.monotonic()
            shell(command)
            runs[name] = time.monotonic() - begun
            place.empty()
        # The first round only warms up.
        if round > 0:
            peaks.append(peak)
            service.append(spent)
            for name, took in runs.items():
                times[name].append(took)
    medians = {name: statistics.median(all) for name, all in times.items()}
    fastest = min(took for name, took in medians.items() if name != "tillstick copy")
    print(f"{place.name}: {os.path.getsize(box.artifact) / 1e6:.0f} MB, {args.rounds} rounds; peak {max(peaks):.1f} MiB")
    if any(service):
        print(f"  of our time the service was at work for {statistics.median(service):.2f} s")
    for name, took in medians.items():
        print(f"  {name:20} {took:6.2f} s  {took / fastest:5.2f}   {' '.join(f'{one:.2f}' for one in times[name])}")


def unchanged(place):
    """What an unchanged cycle asks the service for, with the backups that are there before it."""
    for layout in ("plain", "delta"):
        box = Box(layout, 1 << 20, stays=True)
        box.configure(f'{place.table(layout)}\nlayout = "{layout}"')
        for there in range(25):
            before = len(place.asked())
            box.run("backup")
            time.sleep(0.2)
            asked = collections.Counter(method for method, _ in place.asked()[before:])
            if there in (0, 1, 2, 10, 20):
                print(f"  {layout}, {there} backups there: {sum(asked.values())} requests: {dict(asked)}")


def main():
    kinds = (S3, Sftp, Ftp) + ((Vsftpd,) if os.geteuid() == 0 else ())
    places = [kind for kind in kinds if args.only.lower() in kind.name.lower()]
    box = Box("box", args.mb * 1_000_000)
    started = []
    for kind in places:
        started.append(kind())
        measure(started[-1], box)
        if kind is S3:
            unchanged(started[-1])
    if args.big:
        big = Box("big", int(args.big * (1 << 30)))
        for place in started:
            big.configure(place.table("big"))
            took, peak = big.run("copy", "--to", "away")
            print(f"{place.name}: {os.path.getsize(big.artifact) / (1 << 30):.2f} GiB in {took:.0f} s; peak {peak:.1f} MiB")
            place.empty()


signal.signal(signal.SIGTERM, lambda *_: exit(1))
try:
    main()
finally:
    for process in STARTED:
        if process.stdin:
            process.stdin.close()
            process.wait()
        process.kill()
    for path in LEFT:
        os.remove(path)
    shutil.rmtree(HOME, ignore_errors=True)
