//! Which paths are meant: patterns as people write them in a shell, on paths that may hold any bytes.

/// One path, or a pattern of paths: `*` and `?` stand for letters within a name, `[a-z]` for one of some, `**` as a whole
/// name for any number of folders; a backslash takes the next letter as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    parts: Vec<Part>,
    /// Begins at the root.
    anchored: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// `**`
    Folders,
    /// One name.
    Name(Vec<Token>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Byte(u8),
    One,
    Many,
    Class { not: bool, ranges: Vec<(char, char)> },
}

/// The longest pattern, in bytes: that of the longest path.
const PATTERN_MAX: usize = 4095;

impl Pattern {
    /// A pattern of whole paths: it begins at the root.
    pub fn path(text: &str) -> Result<Self, String> {
        let pattern = Self::parse(text)?;
        if !pattern.anchored {
            return Err("it does not begin at the root `/`".into());
        }
        Ok(pattern)
    }

    /// A pattern of what is left out: without a slash it is one of names anywhere, with one it may begin anywhere unless
    /// it begins at the root.
    pub fn exclude(text: &str) -> Result<Self, String> {
        let pattern = Self::parse(text)?;
        if pattern.parts.is_empty() {
            return Err("it would leave out everything".into());
        }
        Ok(pattern)
    }

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("it is empty".into());
        }
        if text.len() > PATTERN_MAX {
            return Err(format!("it is longer than {PATTERN_MAX} bytes"));
        }
        if text.contains('\0') {
            return Err("no path holds a NUL".into());
        }
        let mut parts = Vec::new();
        for name in text.split('/').filter(|name| !name.is_empty() && *name != ".") {
            if name == ".." {
                return Err("it goes up with `..`".into());
            }
            parts.push(if name == "**" { Part::Folders } else { Part::Name(tokens(name)?) });
        }
        Ok(Self { text: text.to_owned(), parts, anchored: text.starts_with('/') })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path up to the first name that is a pattern, and whether that is all.
    pub fn literal(&self) -> (Vec<u8>, bool) {
        let mut path = Vec::new();
        for part in &self.parts {
            let Part::Name(tokens) = part else { return (path, false) };
            let byte = |token: &Token| if let Token::Byte(byte) = token { Some(*byte) } else { None };
            let Some(name) = tokens.iter().map(byte).collect::<Option<Vec<u8>>>() else { return (path, false) };
            path.push(b'/');
            path.extend(name);
        }
        (path, true)
    }

    /// Whether something in the folder of these names may be meant, or lead to it.
    pub fn leads_into(&self, path: &[&[u8]]) -> bool {
        (0..self.parts.len()).any(|count| reach(&self.parts[..count], path).last() == Some(&true))
    }

    /// Whether the path of these names is meant.
    pub fn matches(&self, path: &[&[u8]]) -> bool {
        self.reach(path).last() == Some(&true)
    }

    /// How many names lead to the first path on the way to this one that is meant; `None` when none is.
    pub fn covers(&self, path: &[&[u8]]) -> Option<usize> {
        self.reach(path).iter().position(|reached| *reached)
    }

    /// For each beginning of `path`, by its number of names, whether the pattern means it.
    fn reach(&self, path: &[&[u8]]) -> Vec<bool> {
        if self.anchored {
            return reach(&self.parts, path);
        }
        let mut parts = vec![Part::Folders];
        parts.extend(self.parts.iter().cloned());
        reach(&parts, path)
    }
}

fn reach(parts: &[Part], path: &[&[u8]]) -> Vec<bool> {
    let mut row = vec![false; path.len() + 1];
    row[0] = true;
    for part in parts {
        match part {
            Part::Folders => {
                let mut seen = false;
                for cell in &mut row {
                    seen |= *cell;
                    *cell = seen;
                }
            }
            Part::Name(tokens) => {
                for at in (0..path.len()).rev() {
                    row[at + 1] = row[at] && name_matches(tokens, path[at]);
                }
                row[0] = false;
            }
        }
    }
    row
}

fn tokens(name: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut letters = name.chars();
    let plain = |tokens: &mut Vec<Token>, letter: char| {
        tokens.extend(letter.encode_utf8(&mut [0; 4]).bytes().map(Token::Byte));
    };
    while let Some(letter) = letters.next() {
        match letter {
            '*' if tokens.last() == Some(&Token::Many) => {}
            '*' => tokens.push(Token::Many),
            '?' => tokens.push(Token::One),
            '\\' => plain(&mut tokens, letters.next().ok_or("it ends in a backslash")?),
            '[' => tokens.push(class(&mut letters)?),
            letter => plain(&mut tokens, letter),
        }
    }
    Ok(tokens)
}

fn class(letters: &mut std::str::Chars<'_>) -> Result<Token, String> {
    let mut all = Vec::new();
    let mut ended = false;
    for letter in letters.by_ref() {
        // A bracket that comes first is a letter.
        if letter == ']' && !matches!(all.as_slice(), [] | ['!' | '^']) {
            ended = true;
            break;
        }
        all.push(letter);
    }
    if !ended {
        return Err("a `[` has no `]`; write `\\[` for the letter".into());
    }
    let not = matches!(all[0], '!' | '^');
    let mut rest = &all[usize::from(not)..];
    let mut ranges = Vec::new();
    while let Some((&first, after)) = rest.split_first() {
        match after {
            ['-', last, others @ ..] => {
                ranges.push((first, *last));
                rest = others;
            }
            others => {
                ranges.push((first, first));
                rest = others;
            }
        }
    }
    Ok(Token::Class { not, ranges })
}

/// The usual way with one place to come back to: time in proportion to the product of the lengths at most.
fn name_matches(tokens: &[Token], name: &[u8]) -> bool {
    let (mut token, mut at) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match tokens.get(token) {
            Some(Token::Many) => {
                star = Some((token + 1, at));
                token += 1;
                continue;
            }
            None if at == name.len() => return true,
            None => None,
            Some(one) => one_matches(one, &name[at..]),
        };
        match (step, star) {
            (Some(length), _) => {
                token += 1;
                at += length;
            }
            (None, Some((after, from))) if from < name.len() => {
                star = Some((after, from + 1));
                token = after;
                at = from + 1;
            }
            _ => return false,
        }
    }
}

/// How many bytes of `rest` the token takes; `None` when it does not match.
fn one_matches(token: &Token, rest: &[u8]) -> Option<usize> {
    let first = *rest.first()?;
    if let Token::Byte(byte) = token {
        return (*byte == first).then_some(1);
    }
    // A byte that is no letter counts as one of its own.
    let lengths = 1..=rest.len().min(4);
    let letter = lengths.into_iter().find_map(|length| std::str::from_utf8(&rest[..length]).ok()?.chars().next());
    let length = letter.map_or(1, char::len_utf8);
    match token {
        Token::Class { not, ranges } => {
            let within = letter.is_some_and(|letter| ranges.iter().any(|(low, high)| (*low..=*high).contains(&letter)));
            (within != *not).then_some(length)
        }
        _ => Some(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str) -> Vec<&[u8]> {
        path.split('/').filter(|name| !name.is_empty()).map(str::as_bytes).collect()
    }

    #[test]
    fn patterns_mean_what_they_mean_in_a_shell() {
        for (pattern, path, expected) in [
            ("/etc/nginx", "/etc/nginx", true),
            ("/etc/nginx/", "/etc/nginx", true),
            ("/etc/nginx", "/etc/nginx/x", false),
            ("/etc/*.conf", "/etc/a.conf", true),
            ("/etc/*.conf", "/etc/a/b.conf", false),
            ("/etc/**/*.conf", "/etc/a/b/c.conf", true),
            ("/etc/**/*.conf", "/etc/c.conf", true),
            ("/etc/**", "/etc/a/b", true),
            ("/srv/[!a-c]?", "/srv/dä", true),
            ("/srv/[!a-c]?", "/srv/bä", false),
            ("/srv/[]]", "/srv/]", true),
            ("/a\\*b", "/a*b", true),
            ("/a\\*b", "/axb", false),
            ("/*a*b*c", "/xxaxbxxc", true),
            ("/*a*b*c", "/xxaxbxx", false),
        ] {
            let found = Pattern::path(pattern).unwrap().matches(&names(path));
            assert_eq!(found, expected, "{pattern} and {path}");
        }
        assert!(Pattern::path("/x/?").unwrap().matches(&[b"x", b"\xff"]), "a byte that is no letter");
        assert!(!Pattern::path("/x/??").unwrap().matches(&[b"x", "ä".as_bytes()]));
    }

    #[test]
    fn what_is_left_out_may_be_a_name_anywhere_or_a_path() {
        for (pattern, path, expected) in [
            ("*.tmp", "/a/b/c.tmp", true),
            ("cache", "/a/cache", true),
            ("cache/*", "/a/b/cache/x", true),
            ("cache/*", "/a/b/cache", false),
            ("/a/cache", "/b/a/cache", false),
        ] {
            let found = Pattern::exclude(pattern).unwrap().matches(&names(path));
            assert_eq!(found, expected, "{pattern} and {path}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in ["", "etc", "/a/../b", "/a[b", "/a\\", "/\0"] {
            assert!(Pattern::path(wrong).is_err(), "{wrong:?}");
        }
        assert!(Pattern::exclude("/").is_err());
        assert_eq!(Pattern::path("/a//b/./c/").unwrap().literal(), (b"/a/b/c".to_vec(), true));
        assert_eq!(Pattern::path("/a/b*/c").unwrap().literal(), (b"/a".to_vec(), false));
        assert_eq!(Pattern::path("/").unwrap().literal(), (Vec::new(), true));
    }

    #[test]
    fn the_first_path_on_the_way_that_is_meant_is_known() {
        let pattern = Pattern::path("/etc/*/conf.d").unwrap();
        assert_eq!(pattern.covers(&names("/etc/x/conf.d/y/z")), Some(3));
        assert_eq!(pattern.covers(&names("/etc/x/y")), None);
        assert_eq!(Pattern::path("/").unwrap().covers(&names("/etc")), Some(0));
        assert!(pattern.leads_into(&names("/etc/x")) && !pattern.leads_into(&names("/etc/x/y")));
        let deep = Pattern::path("/srv/**/keep").unwrap();
        assert!(deep.leads_into(&names("/srv/a/b/c")) && !deep.leads_into(&names("/opt")));
    }
}
