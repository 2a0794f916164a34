//! proftpd, which speaks SFTP too, and vsftpd, each in a folder of its own.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::kit::{is_root, scratch, tool};
use crate::running::comes;
use crate::servers::{CACHE, free_ports, tls};

/// Ports for data, behind that for control.
const DATA: u16 = 20;

pub(crate) struct Ftpd {
    process: Child,
    dir: TempDir,
    pub(crate) port: u16,
    /// The file of PAM that vsftpd needs, in the system's folder.
    pam: Option<PathBuf>,
}

/// How proftpd is to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proftpd {
    Explicit,
    Implicit,
    Plain,
    /// It takes `REST` and refuses what begins in the middle of a file.
    NoRestart,
    Sftp,
}

impl Ftpd {
    fn begin() -> (TempDir, u16, String) {
        let (dir, port) = (scratch(), free_ports(DATA));
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(dir.path().join("files")).unwrap();
        let hash = tool("openssl", &["passwd", "-6", "testpw"]).trim().to_owned();
        (dir, port, hash)
    }

    fn run(dir: TempDir, port: u16, mut command: Command, pam: Option<PathBuf>) -> Self {
        let lib = CACHE.join("root/usr/lib/x86_64-linux-gnu");
        let old = CACHE.join("root/lib/x86_64-linux-gnu");
        command.env("LD_LIBRARY_PATH", format!("{}:{}", lib.display(), old.display()));
        let out = fs::File::create(dir.path().join("out")).unwrap();
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(out).spawn().unwrap();
        let server = Self { process, dir, port, pam };
        assert!(comes(|| TcpStream::connect(server.at()).is_ok()), "{}", server.log());
        server
    }

    pub(crate) fn proftpd(how: Proftpd) -> Self {
        let (dir, port, hash) = Self::begin();
        let home = dir.path().display().to_string();
        let (user, group, uid, gid) = match is_root() {
            true => ("nobody".to_owned(), "nogroup".to_owned(), 65_534, 65_534),
            false => {
                let id = |what| tool("id", &[what]).trim().to_owned();
                (id("-un"), id("-gn"), nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw())
            }
        };
        if is_root() {
            tool("chown", &["nobody:nogroup", &format!("{home}/files")]);
        }
        let passwd = dir.path().join("passwd");
        fs::write(&passwd, format!("t:{hash}:{uid}:{gid}::{home}/files:/bin/false\n")).unwrap();
        fs::set_permissions(&passwd, fs::Permissions::from_mode(0o600)).unwrap();
        let security = match how {
            Proftpd::Plain => String::new(),
            Proftpd::NoRestart => "AllowStoreRestart off\nAllowRetrieveRestart off\n".to_owned(),
            Proftpd::Sftp => {
                tool("ssh-keygen", &["-q", "-t", "ecdsa", "-m", "PEM", "-N", "", "-f", &format!("{home}/host")]);
                format!(
                    "LoadModule mod_sftp.c\nSFTPEngine on\nSFTPHostKey {home}/host\nSFTPAuthMethods password\nSFTPLog {home}/log\n"
                )
            }
            Proftpd::Explicit | Proftpd::Implicit => format!(
                "LoadModule mod_tls.c\nLoadModule mod_tls_shmcache.c\nTLSEngine on\nTLSRequired on\nTLSLog {home}/tls.log\n\
                 TLSECCertificateFile {}\nTLSECCertificateKeyFile {}\nTLSProtocol TLSv1.2 TLSv1.3\n\
                 TLSSessionCache shm:/file={home}/sessions\n{}",
                tls("srv.pem").display(),
                tls("srv.key").display(),
                // The one that hashes files, too.
                if how == Proftpd::Implicit { "TLSOptions UseImplicitSSL\nLoadModule mod_digest.c\n" } else { "" }
            ),
        };
        let restart = match how {
            Proftpd::NoRestart => "",
            _ => "AllowStoreRestart on\nAllowRetrieveRestart on\n",
        };
        let text = format!(
            "ServerType standalone\nServerName test\nDefaultAddress 127.0.0.1\nSocketBindTight on\nPort {port}\n\
             PassivePorts {} {}\nUseIPv6 off\nUser {user}\nGroup {group}\nModulePath {}\nControlsEngine off\nPidFile {home}/pid\n\
             ScoreboardFile {home}/scoreboard\nDelayEngine off\nAuthOrder mod_auth_file.c\nAuthUserFile {passwd:?}\nAuthPAM off\n\
             RequireValidShell off\nUseFtpUsers off\nWtmpLog off\nSystemLog {home}/log\nTransferLog none\nUseReverseDNS off\n\
             {restart}AllowOverwrite on\nMaxInstances 100\n{security}",
            port + 1,
            port + DATA,
            CACHE.join("root/usr/lib/proftpd").display(),
        );
        let config = dir.path().join("proftpd.conf");
        fs::write(&config, text).unwrap();
        let mut command = Command::new(CACHE.join("root/usr/sbin/proftpd"));
        command.args(["-n", "-q", "-c"]).arg(&config);
        Self::run(dir, port, command, None)
    }

    /// It runs as root alone. `more` are lines for its configuration.
    pub(crate) fn vsftpd(more: &str) -> Self {
        let (dir, port, hash) = Self::begin();
        let home = dir.path().display().to_string();
        tool("chown", &["daemon:daemon", &format!("{home}/files")]);
        fs::create_dir(dir.path().join("empty")).unwrap();
        fs::set_permissions(dir.path().join("empty"), fs::Permissions::from_mode(0o555)).unwrap();
        fs::write(dir.path().join("passwd"), format!("t:{hash}\n")).unwrap();
        let service = format!("tillstick-test-{port}");
        let module = CACHE.join("root/lib/x86_64-linux-gnu/security/pam_pwdfile.so");
        let module =
            if module.exists() { module } else { CACHE.join("root/usr/lib/x86_64-linux-gnu/security/pam_pwdfile.so") };
        let pam = PathBuf::from("/etc/pam.d").join(&service);
        fs::write(
            &pam,
            format!("auth required {} pwdfile {home}/passwd\naccount required pam_permit.so\n", module.display()),
        )
        .unwrap();
        let text = format!(
            "listen=YES\nlisten_ipv6=NO\nbackground=NO\nlisten_address=127.0.0.1\nlisten_port={port}\npasv_min_port={}\npasv_max_port={}\n\
             pasv_address=127.0.0.1\nanonymous_enable=NO\nlocal_enable=YES\nwrite_enable=YES\nguest_enable=YES\nguest_username=daemon\n\
             virtual_use_local_privs=YES\nlocal_root={home}/files\nchroot_local_user=YES\nallow_writeable_chroot=YES\n\
             pam_service_name={service}\nsecure_chroot_dir={home}/empty\nnopriv_user=nobody\nseccomp_sandbox=NO\nisolate_network=NO\n\
             isolate=NO\nvsftpd_log_file={home}/log\nlog_ftp_protocol=YES\nxferlog_enable=YES\nuse_localtime=NO\nlocal_umask=077\n\
             ssl_enable=YES\nforce_local_logins_ssl=YES\nforce_local_data_ssl=YES\nrequire_ssl_reuse=YES\nstrict_ssl_read_eof=YES\n\
             ssl_ciphers=HIGH\nrsa_cert_file={pem}\nrsa_private_key_file={pem}\n{more}",
            port + 1,
            port + DATA,
            pem = tls("rsa.pem").display(),
        );
        let config = dir.path().join("vsftpd.conf");
        fs::write(&config, text).unwrap();
        let mut command = Command::new(CACHE.join("root/usr/sbin/vsftpd"));
        command.arg(&config);
        Self::run(dir, port, command, Some(pam))
    }

    pub(crate) fn at(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    pub(crate) fn ports(&self) -> RangeInclusive<u16> {
        self.port..=self.port + DATA
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        ["log", "tls.log", "out"].map(|name| fs::read_to_string(self.path(name)).unwrap_or_default()).concat()
    }
}

impl Drop for Ftpd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Some(pam) = &self.pam {
            let _ = fs::remove_file(pam);
        }
    }
}
