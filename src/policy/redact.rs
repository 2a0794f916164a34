//! What of a line may be told to others: no secret that a command, a server or a person put into it.

/// What stands for a secret.
const HIDDEN: &str = "***";
/// A word that ends like this is followed by a secret, after `=` or `:`.
const NAMES: [&str; 7] = ["password", "passwd", "secret", "secret_key", "token", "apikey", "api_key"];
/// A word that begins like this is one.
const SECRETS: [&str; 2] = ["AGE-SECRET-KEY-", "-----BEGIN"];

/// The line without secrets: passwords and questions of URLs, values of what is called a password or the like, private keys.
pub fn redact(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut hide_next = false;
    for piece in line.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end();
        let space = &piece[word.len()..];
        if word.is_empty() {
            out.push_str(piece);
            continue;
        }
        match std::mem::take(&mut hide_next) {
            true => out.push_str(HIDDEN),
            false => out.push_str(&of_word(word, &mut hide_next)),
        }
        out.push_str(space);
    }
    out
}

fn of_word(word: &str, hide_next: &mut bool) -> String {
    if SECRETS.iter().any(|secret| word.contains(secret)) {
        return HIDDEN.to_owned();
    }
    if word.contains("://") {
        return of_url(word);
    }
    let Some(at) = word.find(['=', ':']) else { return word.to_owned() };
    let name = word[..at].trim_matches(['"', '\'', '-']).to_ascii_lowercase();
    if !NAMES.iter().any(|secret| name.ends_with(secret)) {
        return word.to_owned();
    }
    match &word[at + 1..] {
        "" => {
            *hide_next = true;
            word.to_owned()
        }
        _ => format!("{}{HIDDEN}", &word[..=at]),
    }
}

/// A URL without its password, and without what is asked of it: signed requests stand there.
fn of_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = match host.rsplit_once('@') {
        Some((login, host)) => match login.split_once(':') {
            Some((user, _)) => format!("{user}:{HIDDEN}@{host}"),
            None => format!("{login}@{host}"),
        },
        None => host.to_owned(),
    };
    match path.split_once('?') {
        Some((path, _)) => format!("{scheme}://{host}{path}?{HIDDEN}"),
        None => format!("{scheme}://{host}{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn secrets_are_hidden_and_the_rest_stays_as_it_is() {
        for (line, told) in [
            ("nothing here: 5 of 7 tables, at 12:00", "nothing here: 5 of 7 tables, at 12:00"),
            ("ftp://till:geheim@host/a b", "ftp://till:***@host/a b"),
            ("ftp://till@host", "ftp://till@host"),
            ("ftp://till:ge@heim@host", "ftp://till:***@host"),
            ("see https://s3/x?X-Amz-Signature=abc now", "see https://s3/x?*** now"),
            ("password=geheim, and", "password=*** and"),
            ("--db-password=geheim", "--db-password=***"),
            ("Password: geheim geheim", "Password: *** geheim"),
            ("API_KEY:  geheim", "API_KEY:  ***"),
            ("key AGE-SECRET-KEY-1QQQ.", "key ***"),
            ("umlaute: äöü\u{a0}ß  =x", "umlaute: äöü\u{a0}ß  =x"),
            ("", ""),
        ] {
            assert_eq!(redact(line), told);
        }
    }
}
