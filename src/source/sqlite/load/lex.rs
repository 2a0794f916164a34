//! The tokens of a statement, as far as telling statements apart needs them. Pure over bytes; never fails.

/// One token. Slices are of the statement's own bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword, a bare name, a number, or anything else made of identifier characters.
    Word(&'a [u8]),
    /// A quoted text or name: the quote that opened it and what stands inside, doubled quotes still doubled.
    Quoted(u8, &'a [u8]),
    /// A quote that nothing closes.
    Unclosed,
    /// Any other byte.
    Mark(u8),
}

impl Token<'_> {
    /// Tells whether this is the keyword, in any case. A quoted word is never a keyword.
    pub(super) fn is(&self, keyword: &str) -> bool {
        matches!(self, Token::Word(word) if word.eq_ignore_ascii_case(keyword.as_bytes()))
    }

    /// The name that this token spells, without its quotes; none when it is no name.
    pub(super) fn name(&self) -> Option<Vec<u8>> {
        match self {
            Token::Word(word) => Some(word.to_vec()),
            Token::Quoted(quote, inside) => Some(undouble(inside, *quote)),
            Token::Unclosed | Token::Mark(_) => None,
        }
    }
}

/// Takes every doubled `quote` as one.
pub(super) fn undouble(inside: &[u8], quote: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(inside.len());
    let mut at = 0;
    while let Some(found) = memchr::memchr(quote, &inside[at..]) {
        out.extend_from_slice(&inside[at..=at + found]);
        at = (at + found + 2).min(inside.len());
    }
    out.extend_from_slice(&inside[at..]);
    out
}

/// Whether SQLite counts the byte to a name or keyword.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// Whether SQLite skips the byte between tokens.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)
}

/// Walks over the tokens of `bytes`, leaving out white space and comments.
#[derive(Debug, Clone)]
pub(super) struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Where the next token is looked for: right behind the last one.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    fn skip_blank(&mut self) {
        while let Some(byte) = self.bytes.get(self.at) {
            let rest = &self.bytes[self.at..];
            self.at += if is_space(*byte) {
                1
            } else if rest.starts_with(b"--") {
                memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1)
            } else if rest.starts_with(b"/*") {
                memchr::memmem::find(&rest[2..], b"*/").map_or(rest.len(), |end| end + 4)
            } else {
                return;
            };
        }
    }

    fn quoted(&mut self, quote: u8, close: u8) -> Token<'a> {
        let start = self.at + 1;
        let mut from = start;
        while let Some(found) = memchr::memchr(close, &self.bytes[from..]) {
            let end = from + found;
            if close != b']' && self.bytes.get(end + 1) == Some(&close) {
                from = end + 2;
                continue;
            }
            self.at = end + 1;
            return Token::Quoted(quote, &self.bytes[start..end]);
        }
        self.at = self.bytes.len();
        Token::Unclosed
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blank();
        let byte = *self.bytes.get(self.at)?;
        Some(match byte {
            b'\'' | b'"' | b'`' => self.quoted(byte, byte),
            b'[' => self.quoted(byte, b']'),
            _ if is_word(byte) => {
                let start = self.at;
                let rest = &self.bytes[start..];
                self.at += rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len());
                Token::Word(&self.bytes[start..self.at])
            }
            _ => {
                self.at += 1;
                Token::Mark(byte)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_quotes_and_comments_are_no_tokens() {
        let text = b"a-- x ' \n\"b\"\"c\"/* ' */[d'e]`f``` 'g''' 1.5;'open";
        let names: Vec<_> = Lexer::new(text).filter_map(|token| token.name()).collect();
        assert_eq!(names, [&b"a"[..], b"b\"c", b"d'e", b"f`", b"g'", b"1", b"5"]);
        assert_eq!(Lexer::new(text).last(), Some(Token::Unclosed));
    }
}
