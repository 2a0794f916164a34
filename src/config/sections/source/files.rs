//! The keys of a source with `type = "files"`: folders, files and the system's configuration.

use crate::config::show::Out;
use crate::config::take::{Section, flag, list, one_of, parsed};
use crate::policy::select::Pattern;

/// What is backed up as one `.tar.gz`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesConfig {
    /// `paths`: folders and files, or patterns of them (`*`, `?`, `[a-z]`, `**` for any number of folders). A path
    /// without a pattern must be there.
    pub paths: Vec<Pattern>,
    /// `presets`: parts of the system's configuration; what of them is not there is no mistake. `paths` or `presets`
    /// names something.
    pub presets: Vec<Preset>,
    /// `exclude`: what is left out: a name anywhere (`"*.tmp"`), or a path from the root on; `[]`.
    pub exclude: Vec<Pattern>,
    /// `one_file_system`: what is mounted below is left out, and told; true.
    pub one_file_system: bool,
    /// `unreadable`: `"warn"` makes the backup without what cannot be read and tells it, `"fail"` makes none; `"warn"`.
    pub unreadable: Unreadable,
}

/// What becomes of a backup when a file cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// `"warn"`
    Warn,
    /// `"fail"`
    Fail,
}

const UNREADABLE: [(&str, Unreadable); 2] = [("warn", Unreadable::Warn), ("fail", Unreadable::Fail)];

/// A part of the system's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// `"apache"`
    Apache,
    /// `"nginx"`
    Nginx,
    /// `"php"`
    Php,
    /// `"mariadb"`, which is MySQL's too
    Mariadb,
    /// `"postgresql"`
    Postgresql,
    /// `"network"`
    Network,
}

const PRESETS: [(&str, Preset); 6] = [
    ("apache", Preset::Apache),
    ("nginx", Preset::Nginx),
    ("php", Preset::Php),
    ("mariadb", Preset::Mariadb),
    ("postgresql", Preset::Postgresql),
    ("network", Preset::Network),
];

impl Preset {
    /// Where Debian, Red Hat, SUSE, Alpine and Buildroot keep it.
    pub fn paths(self) -> &'static [&'static str] {
        match self {
            Self::Apache => &["/etc/apache2", "/etc/httpd", "/etc/sysconfig/apache2"],
            Self::Nginx => &["/etc/nginx", "/usr/local/etc/nginx"],
            Self::Php => {
                &["/etc/php", "/etc/php[0-9]*", "/etc/php.ini", "/etc/php.d", "/etc/php-fpm.conf", "/etc/php-fpm.d"]
            }
            Self::Mariadb => &["/etc/mysql", "/etc/my.cnf", "/etc/my.cnf.d", "/etc/mariadb"],
            Self::Postgresql => &[
                "/etc/postgresql",
                "/etc/postgresql-common",
                "/var/lib/pgsql/data/*.conf",
                "/var/lib/pgsql/*/data/*.conf",
                "/var/lib/postgresql/data/*.conf",
                "/var/lib/postgresql/*/data/*.conf",
            ],
            Self::Network => &[
                "/etc/hostname",
                "/etc/hosts",
                "/etc/hosts.allow",
                "/etc/hosts.deny",
                "/etc/resolv.conf",
                "/etc/nsswitch.conf",
                "/etc/network",
                "/etc/netplan",
                "/etc/NetworkManager",
                "/etc/systemd/network",
                "/etc/systemd/resolved.conf",
                "/etc/systemd/resolved.conf.d",
                "/etc/sysconfig/network",
                "/etc/sysconfig/network-scripts",
                "/etc/dhcpcd.conf",
                "/etc/wpa_supplicant",
                "/etc/wpa_supplicant.conf",
                "/etc/iwd",
                "/var/lib/iwd",
                "/etc/wireguard",
                "/etc/iptables",
                "/etc/nftables.conf",
                "/etc/nftables.d",
                "/etc/firewalld",
                "/etc/ufw",
            ],
        }
    }
}

impl FilesConfig {
    /// These paths with the defaults for everything else.
    pub fn new(paths: Vec<Pattern>) -> Self {
        Self { paths, presets: Vec::new(), exclude: Vec::new(), one_file_system: true, unreadable: Unreadable::Warn }
    }

    /// The paths of its presets.
    pub fn preset_paths(&self) -> Vec<Pattern> {
        let all = self.presets.iter().flat_map(|preset| preset.paths());
        all.filter_map(|path| Pattern::path(path).ok()).collect()
    }

    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let default = Self::new(Vec::new());
        let a_path = parsed("a path", "/var/www/shop", Pattern::path);
        let a_pattern = parsed("a name or path to leave out", "*.tmp", Pattern::exclude);
        let (paths, presets) = (section.place_of("paths"), section.place_of("presets"));
        let config = Self {
            paths: section.get("paths", list(a_path), Vec::new()),
            presets: section.get("presets", list(one_of(&PRESETS)), Vec::new()),
            exclude: section.get("exclude", list(a_pattern), Vec::new()),
            one_file_system: section.get("one_file_system", flag, default.one_file_system),
            unreadable: section.get("unreadable", one_of(&UNREADABLE), default.unreadable),
        };
        if paths.is_none() && presets.is_none() {
            let hint = "write paths = [\"/var/www/shop\"], or presets = [\"nginx\", \"php\"]";
            section.complain_of_all("names nothing to back up".into(), Some(hint.into()));
            return None;
        }
        Some(config)
    }

    pub(super) fn show(&self, out: &mut Out) {
        out.list("paths", self.paths.iter().map(Pattern::as_str));
        let word = |preset: &Preset| PRESETS.iter().find(|(_, other)| other == preset).map_or("", |(word, _)| *word);
        out.list("presets", self.presets.iter().map(word));
        out.list("exclude", self.exclude.iter().map(Pattern::as_str));
        out.key("one_file_system", self.one_file_system);
        out.word("unreadable", &UNREADABLE, &self.unreadable);
    }
}
