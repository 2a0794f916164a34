//! What the stick tells whoever opens it: how to get at a backup without this program.

use crate::lang::Lang;

const DE: &str = "\
SICHERUNGEN IHRER KASSE
=======================
Im Hauptordner liegt die neueste Sicherung, zum Beispiel 104711_kasse.sql.gz.
Die früheren liegen in TILLSTICK/<Kasse>/backups/<Zeit in UTC>/.
Bitte nichts umbenennen und nichts in TILLSTICK ändern.

Ansehen unter Windows: die Datei mit 7-Zip (www.7-zip.org) entpacken; heraus
kommt SQL-Text. Teile (.001, .002, ...) fügt 7-Zip beim Öffnen von .001 zusammen.

Zurückspielen (Linux, macOS):
  sha256sum -c SHA256SUMS
  gunzip -c 104711_kasse.sql.gz | sqlite3 -bail kasse.db
  cat 104711_kasse.sql.gz.0* | gunzip -c | sqlite3 -bail kasse.db     (bei Teilen)
  tar -xpzf 104711_web.tar.gz                                         (Dateien)
Die Datei kasse.db darf es vorher nicht geben.
Dateien mit der Endung .age sind verschlüsselt; der Schlüssel liegt nicht hier:
  age -d -i SCHLÜSSELDATEI 104711_kasse.sql.gz.age > 104711_kasse.sql.gz
";

const EN: &str = "\
BACKUPS OF YOUR TILL
====================
The newest backup is in the top folder, for example 104711_kasse.sql.gz.
Earlier ones are in TILLSTICK/<till>/backups/<time in UTC>/.
Please rename nothing, and change nothing in TILLSTICK.

To look at it on Windows: unpack the file with 7-Zip (www.7-zip.org); you get
SQL text. 7-Zip joins parts (.001, .002, ...) when you open .001.

To restore it (Linux, macOS):
  sha256sum -c SHA256SUMS
  gunzip -c 104711_kasse.sql.gz | sqlite3 -bail kasse.db
  cat 104711_kasse.sql.gz.0* | gunzip -c | sqlite3 -bail kasse.db     (for parts)
  tar -xpzf 104711_web.tar.gz                                         (files)
The file kasse.db must not exist before.
Files that end in .age are encrypted; the key is not here:
  age -d -i KEYFILE 104711_kasse.sql.gz.age > 104711_kasse.sql.gz
";

const ES: &str = "\
COPIAS DE SEGURIDAD DE SU CAJA
==============================
La copia más reciente está en la carpeta principal, por ejemplo
104711_kasse.sql.gz. Las anteriores están en
TILLSTICK/<caja>/backups/<hora en UTC>/.
No cambie nombres ni nada dentro de TILLSTICK, por favor.

Para verla en Windows: descomprima el archivo con 7-Zip (www.7-zip.org);
obtendrá texto SQL. 7-Zip une las partes (.001, .002, ...) al abrir .001.

Para restaurarla (Linux, macOS):
  sha256sum -c SHA256SUMS
  gunzip -c 104711_kasse.sql.gz | sqlite3 -bail kasse.db
  cat 104711_kasse.sql.gz.0* | gunzip -c | sqlite3 -bail kasse.db     (si hay partes)
  tar -xpzf 104711_web.tar.gz                                         (archivos)
El archivo kasse.db no debe existir antes.
Los archivos que terminan en .age están cifrados; la clave no está aquí:
  age -d -i ARCHIVO_CLAVE 104711_kasse.sql.gz.age > 104711_kasse.sql.gz
";

/// `README.txt`, the given language first; with the line ends that every Windows shows, and marked as UTF-8.
pub(super) fn text(first: Lang) -> String {
    let order = match first {
        Lang::De => [DE, EN, ES],
        Lang::En => [EN, DE, ES],
        Lang::Es => [ES, EN, DE],
    };
    format!("\u{feff}{}", order.join("\n\n").replace('\n', "\r\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shops_language_comes_first_and_windows_can_show_it() {
        for (lang, first) in [(Lang::De, "SICHERUNGEN"), (Lang::En, "BACKUPS"), (Lang::Es, "COPIAS")] {
            let text = text(lang);
            assert!(text.starts_with(&format!("\u{feff}{first}")));
            assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
            assert!(["SICHERUNGEN", "BACKUPS OF", "COPIAS"].iter().all(|title| text.contains(title)));
        }
    }
}
