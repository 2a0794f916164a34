//! What the reader hands to the loader: a statement, or the values of many rows of one `INSERT`. Parcels go round
//! between the two, so that their buffers are made once.

use std::ops::Range;
use std::sync::Arc;

use super::SNIPPET;

/// A literal. Ranges are of the parcel's [`bytes`](Parcel::bytes).
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(Range<usize>),
    Blob(Range<usize>),
}

/// Which statement of the text it is, counted from 1, and the byte at which it begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) number: u64,
    pub(super) begin: u64,
}

impl Place {
    /// Names it, with how it begins.
    pub(super) fn show(self, start: &[u8]) -> String {
        let start = String::from_utf8_lossy(&start[..start.len().min(SNIPPET)]);
        format!("statement {} at byte {}, {start:?}", self.number, self.begin)
    }
}

/// The beginning of an `INSERT ... VALUES (`, up to and with the first row's opening parenthesis.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) text: Vec<u8>,
    /// The length of what stands before `VALUES`.
    pub(super) before_values: usize,
    pub(super) table: Vec<u8>,
}

/// What a parcel holds.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// One statement, whole: the parcel's bytes.
    Statement,
    /// Rows of statements that all begin with this head: the parcel's values.
    Rows(Arc<Head>),
    /// What is left of a statement that begins with this head, up to and with its semicolon: the parcel's bytes. So many
    /// rows of it came before.
    Rest(Arc<Head>, u64),
}

/// From a row of the parcel on, rows belong to the statement at this place, in which the first of them has a number.
#[derive(Debug, Clone, Copy)]
struct Begun {
    row: usize,
    place: Place,
    number: u64,
}

/// One delivery.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) content: Content,
    /// Of the statement, or of the last row's.
    pub(super) place: Place,
    /// The offset in the text behind all that is in it, in bytes.
    pub(super) end: u64,
    pub(super) bytes: Vec<u8>,
    /// Row after row, each of as many values as there are columns.
    pub(super) values: Vec<Value>,
    pub(super) columns: usize,
    pub(super) rows: usize,
    begun: Vec<Begun>,
}

/// Rows are handed over when they fill so many bytes, or are made of so many values.
const BYTES: usize = 192 << 10;
const VALUES: usize = 12 << 10;

/// A buffer that grew for something long is given back when it is larger than this, in bytes.
const KEPT: usize = 2 << 20;

impl Parcel {
    pub(super) fn new() -> Self {
        let (bytes, values) = (Vec::with_capacity(BYTES), Vec::with_capacity(VALUES));
        let (content, place, begun) = (Content::Statement, Place::default(), Vec::new());
        Self { content, place, end: 0, bytes, values, columns: 0, rows: 0, begun }
    }

    /// Makes it empty again.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.values.clear();
        self.begun.clear();
        self.rows = 0;
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::with_capacity(BYTES);
        }
    }

    /// Whether another row had better wait for the next one.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= BYTES || self.values.len() >= VALUES
    }

    /// Takes note that the last values are a row of the statement at `place`, and which one, counted from 0.
    pub(super) fn row_added(&mut self, place: Place, number: u64) {
        if self.begun.last().is_none_or(|begun| begun.place != place) {
            self.begun.push(Begun { row: self.rows, place, number });
        }
        self.rows += 1;
        self.place = place;
    }

    /// Which statement a row of this parcel belongs to, and which of its rows it is, counted from 1.
    pub(super) fn place_of(&self, row: usize) -> (Place, u64) {
        let begun = self.begun.iter().rev().find(|begun| begun.row <= row);
        begun.map_or((self.place, 1), |begun| (begun.place, begun.number + (row - begun.row) as u64 + 1))
    }
}
