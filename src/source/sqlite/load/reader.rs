//! Reads the text on a thread of its own: cuts it into statements, and rows of literals into values. What a statement
//! means is the loader's to judge.

use std::sync::Arc;

use super::conveyor::Loading;
use super::head::{self, Start};
use super::lex::is_space;
use super::parcel::{Content, Head, Parcel, Place};
use super::part::Part;
use super::row::{self, After, Stop};
use super::split::Scanner;
use super::statement;
use super::window::Window;
use super::{INCOMPLETE, SNIPPET};
use crate::error::{Error, Kind, Result};
use crate::source::sqlite::{END_MARK, HEADER_PREFIX};

/// What is looked at to tell what the text is; in bytes.
const GREETING: usize = 16;

/// After so much more of the text the disk is set to work, in bytes: often enough to keep it busy, seldom enough that
/// pages which are written more than once cost it little.
const WRITE_OUT: u64 = 16 << 20;

/// The smallest limit for a statement, in bytes: so much may be read ahead.
const STATEMENT_MIN: usize = 1 << 20;

/// What is longer is a long statement or row, of which memory holds one at a time; in bytes. A row of that length is
/// looked for with the scanner, which looks at each byte once however often more bytes come.
const LONG: usize = 1 << 20;

/// The longest beginning of an `INSERT` that is read here; in bytes.
const HEAD_MAX: usize = 64 << 10;

/// What is known once the text was read to its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    /// The length of the text, in bytes.
    pub(super) bytes: u64,
    /// Whether it is a dump of this program.
    pub(super) ours: bool,
    /// Whether the end mark was there, with nothing behind it.
    pub(super) end_mark: bool,
}

/// The walk over one text.
pub(super) struct Reader<'a> {
    window: Window<'a>,
    statement_max: usize,
    loading: Loading,
    part: &'a Part,
    /// Where in the text the disk is set to work next.
    write_out: u64,
    /// The one that is being filled.
    parcel: Parcel,
    head: Option<Arc<Head>>,
    /// Of the statement at hand.
    place: Place,
    ours: bool,
    end_mark: bool,
    /// Whether texts are stored as they come.
    utf8: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(window: Window<'a>, statement_max: usize, loading: Loading, part: &'a Part) -> Self {
        Self {
            window,
            statement_max: statement_max.max(STATEMENT_MIN),
            loading,
            part,
            write_out: WRITE_OUT,
            parcel: Parcel::new(),
            head: None,
            place: Place::default(),
            ours: false,
            end_mark: false,
            utf8: true,
        }
    }

    /// Reads the whole text and hands it over. An error is handed over too, behind what comes before it.
    pub(super) fn run(mut self) {
        let ending = self.walk();
        self.loading.end(ending);
    }

    fn walk(&mut self) -> Result<Ending> {
        self.greet()?;
        while self.skip_blank()? {
            self.place = Place { number: self.place.number + 1, begin: self.window.offset() };
            if self.end_mark {
                return self.fail(Kind::Damaged, "something follows the dump's end mark");
            }
            if self.window.bytes().first() == Some(&b'.') {
                return self.fail(Kind::Refused, "it is a command to the sqlite3 shell, and could run programs there");
            }
            if !self.rows()? {
                self.statement()?;
            }
        }
        self.hand_over_rows()?;
        Ok(Ending { bytes: self.window.offset(), ours: self.ours, end_mark: self.end_mark })
    }

    /// Looks at how the text begins.
    fn greet(&mut self) -> Result<()> {
        while self.window.bytes().len() < GREETING && self.window.more()? {}
        let bytes = self.window.bytes();
        let problem = match bytes {
            [] => Some((Kind::Damaged, "the dump is empty", INCOMPLETE)),
            [0x1f, 0x8b, ..] => Some((Kind::Usage, "it is gzip data, not SQL text", "unpack it first")),
            _ if bytes.starts_with(b"SQLite format 3\0") => {
                Some((Kind::Usage, "it is a database, not SQL text", "copy it to where it shall be"))
            }
            _ => None,
        };
        if let Some((kind, message, help)) = problem {
            return Err(Error::new(kind, message).help(help));
        }
        if bytes.starts_with(b"\xef\xbb\xbf") {
            self.window.consume(3);
        }
        self.ours = self.window.bytes().starts_with(HEADER_PREFIX.as_bytes());
        Ok(())
    }

    /// Skips white space and comments, noticing the end mark; `false` at the end of the text.
    fn skip_blank(&mut self) -> Result<bool> {
        loop {
            let bytes = self.window.bytes();
            let blank = bytes.iter().position(|byte| !is_space(*byte)).unwrap_or(bytes.len());
            self.window.consume(blank);
            match self.window.bytes() {
                [b'-', b'-', ..] => self.skip_comment(b"\n")?,
                [b'/', b'*', ..] => self.skip_comment(b"*/")?,
                [] | [b'-' | b'/'] => {
                    if !self.window.more()? {
                        return Ok(!self.window.bytes().is_empty());
                    }
                }
                _ => return Ok(true),
            }
        }
    }

    fn skip_comment(&mut self, close: &[u8]) -> Result<()> {
        // Behind the two bytes that open it: `/*/` closes nothing.
        let mut from = 2;
        loop {
            let bytes = self.window.bytes();
            if let Some(found) = memchr::memmem::find(&bytes[from..], close) {
                let end = from + found;
                self.end_mark |= bytes[..end].trim_ascii_end() == END_MARK.as_bytes();
                self.window.consume(end + close.len());
                return Ok(());
            }
            from = (bytes.len() - (close.len() - 1)).max(2);
            self.bounded()?;
            if !self.window.more()? {
                let bytes = self.window.bytes();
                self.end_mark |= bytes.trim_ascii_end() == END_MARK.as_bytes();
                let length = bytes.len();
                self.window.consume(length);
                return Ok(());
            }
        }
    }

    /// Fails when what is pending is longer than a statement may be.
    fn bounded(&self) -> Result<()> {
        let max = self.statement_max;
        if self.window.bytes().len() <= max {
            return Ok(());
        }
        let why = format!("it is longer than the {max} bytes that a statement may have");
        Err(self.error(Kind::Refused, &why).help("raise the limit if the dump comes from where you trust"))
    }

    /// Takes one more piece of the text; fails when there is none although the statement is not finished.
    fn more(&mut self) -> Result<()> {
        self.bounded()?;
        if self.window.more()? {
            return Ok(());
        }
        // What came before it shall be judged first.
        self.hand_over_rows()?;
        Err(self.error(Kind::Damaged, "the dump ends in the middle of it").help(INCOMPLETE))
    }

    /// Waits until the statement's end is there, and gives the number of bytes up to it.
    fn complete(&mut self, mut scanner: Scanner) -> Result<usize> {
        loop {
            if let Some(end) = scanner.end(self.window.bytes()) {
                return Ok(end);
            }
            self.more()?;
        }
    }

    /// Takes the statement at hand, which is no `INSERT` of rows.
    fn statement(&mut self) -> Result<()> {
        let end = self.complete(Scanner::at_start())?;
        self.hand_over_rows()?;
        self.head = None;
        self.utf8 &= !statement::may_change_encoding(&self.window.bytes()[..end]);
        self.hand_over(Content::Statement, end)
    }

    /// Hands over the next `length` bytes.
    fn hand_over(&mut self, content: Content, length: usize) -> Result<()> {
        self.hand_over_rows()?;
        if length > LONG {
            self.loading.wait_for_all()?;
        }
        self.parcel.bytes.extend_from_slice(&self.window.bytes()[..length]);
        self.window.consume(length);
        self.parcel.place = self.place;
        self.deliver(content)
    }

    /// Hands over the rows that were gathered, if there are any.
    fn hand_over_rows(&mut self) -> Result<()> {
        match &self.head {
            Some(head) if self.parcel.rows > 0 => {
                let content = Content::Rows(Arc::clone(head));
                self.deliver(content)
            }
            _ => Ok(()),
        }
    }

    fn deliver(&mut self, content: Content) -> Result<()> {
        self.parcel.content = content;
        self.parcel.end = self.window.offset();
        // Here, where there is more time than in the loader.
        if self.window.offset() >= self.write_out {
            self.write_out = self.window.offset() + WRITE_OUT;
            self.part.begin_write_out();
        }
        let next = self.loading.next()?;
        self.loading.deliver(std::mem::replace(&mut self.parcel, next))
    }

    /// Takes the statement at hand if it is an `INSERT ... VALUES`; `false` when it is something else.
    fn rows(&mut self) -> Result<bool> {
        let known = self.head.clone().filter(|head| self.window.bytes().starts_with(&head.text));
        let Some(head) = known.map_or_else(|| self.new_insert(), |head| Ok(Some(head)))? else {
            return Ok(false);
        };
        self.window.consume(head.text.len());
        let mut taken = 0_u64;
        let mut end = None;
        loop {
            match self.row(taken, end) {
                Ok((step, after)) => {
                    taken += 1;
                    self.window.consume(step);
                    if self.parcel.is_full() {
                        self.hand_over_rows()?;
                    }
                    if matches!(after, After::End(_)) {
                        return Ok(true);
                    }
                    end = end.map(|end| end - step);
                }
                Err(Stop::Columns) => self.hand_over_rows()?,
                Err(Stop::Incomplete) if end.is_none() && self.window.bytes().len() < LONG => self.more()?,
                Err(Stop::Incomplete) if end.is_none() => {
                    self.hand_over_rows()?;
                    self.loading.wait_for_all()?;
                    end = Some(self.complete(Scanner::in_statement())?);
                }
                Err(Stop::Incomplete | Stop::Unusual) => {
                    let end = self.complete(Scanner::in_statement())?;
                    self.hand_over(Content::Rest(head, taken), end)?;
                    return Ok(true);
                }
            }
        }
    }

    /// Adds the row at hand to the parcel; gives the offset behind it and what follows. The statement may be known to
    /// end at an offset.
    fn row(&mut self, taken: u64, end: Option<usize>) -> Result<(usize, After), Stop> {
        let bytes = self.window.bytes();
        let bytes = &bytes[..end.unwrap_or(bytes.len())];
        let parcel = &mut self.parcel;
        let (values, made) = (parcel.values.len(), parcel.bytes.len());
        let read = row::parse(bytes, &mut parcel.values, &mut parcel.bytes, self.utf8).and_then(|length| {
            let columns = parcel.values.len() - values;
            let after = row::after(&bytes[length..])?;
            if parcel.rows > 0 && columns != parcel.columns {
                return Err(Stop::Columns);
            }
            parcel.columns = columns;
            let (After::Row(step) | After::End(step)) = after;
            Ok((length + step, after))
        });
        if read.is_err() {
            parcel.values.truncate(values);
            parcel.bytes.truncate(made);
        } else {
            parcel.row_added(self.place, taken);
        }
        read
    }

    /// Reads the beginning of another `INSERT`; none when the statement is not for here.
    fn new_insert(&mut self) -> Result<Option<Arc<Head>>> {
        loop {
            match head::start(self.window.bytes()) {
                Start::Other => return Ok(None),
                Start::Incomplete if self.window.bytes().len() > HEAD_MAX => return Ok(None),
                Start::Incomplete => self.more()?,
                // SQLite sees the end of its text in a NUL byte.
                Start::Rows(head) if memchr::memchr(0, &head.text).is_some() => return Ok(None),
                Start::Rows(head) => {
                    self.hand_over_rows()?;
                    return Ok(Some(Arc::clone(self.head.insert(Arc::new(head)))));
                }
            }
        }
    }

    /// Fails because of the statement at hand, once what comes before it was handed over.
    fn fail<T>(&mut self, kind: Kind, why: &str) -> Result<T> {
        self.hand_over_rows()?;
        Err(self.error(kind, why))
    }

    fn error(&self, kind: Kind, why: &str) -> Error {
        let mut start = Vec::new();
        if let Some(head) = self.head.as_ref().filter(|_| self.window.offset() > self.place.begin) {
            start.extend_from_slice(&head.text[..head.text.len().min(SNIPPET)]);
        }
        start.extend(self.window.bytes().iter().take(SNIPPET - start.len()));
        Error::new(kind, format!("{}: {why}", self.place.show(&start)))
    }
}
