//! The time that a new file on a stick shows: local, as FAT has it.

use fatfs::{Date, DateTime, Time, TimeProvider};
use jiff::Zoned;

#[derive(Debug)]
pub(super) struct Stamp;

impl TimeProvider for Stamp {
    fn get_current_date(&self) -> Date {
        self.get_current_date_time().date
    }

    fn get_current_date_time(&self) -> DateTime {
        let now = Zoned::now();
        let number = |value: i8| u16::try_from(value).unwrap_or(0);
        // What FAT can hold: a box without a battery may live in 1970.
        let year = now.year().clamp(1980, 2107).unsigned_abs();
        let date = Date { year, month: number(now.month()), day: number(now.day()) };
        let time = Time { hour: number(now.hour()), min: number(now.minute()), sec: number(now.second()), millis: 0 };
        DateTime { date, time }
    }
}
