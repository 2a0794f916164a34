//! The periods of the calendar, as they are where the shop is.

use std::fmt;

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan};

/// A kind of period, from short to long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// An hour of the clock on the wall.
    Hour,
    /// A day.
    Day,
    /// A week, which begins on Monday.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

/// One hour, day, week, month or year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    period: Period,
    begins: DateTime,
    /// Tells the two hours apart that have one name when summer time ends.
    offset: Option<Offset>,
}

impl Span {
    /// The one in which `time` lies.
    pub(super) fn of(period: Period, time: Timestamp, zone: &TimeZone) -> Self {
        let local = zone.to_datetime(time);
        let date = local.date();
        let begins = match period {
            Period::Hour => date.at(local.hour(), 0, 0, 0),
            Period::Day => date.into(),
            Period::Week => {
                let days = i64::from(date.weekday().to_monday_zero_offset());
                date.saturating_sub(days.days()).into()
            }
            Period::Month => date.first_of_month().into(),
            Period::Year => date.first_of_year().into(),
        };
        Self { period, begins, offset: (period == Period::Hour).then(|| zone.to_offset(time)) }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = match self.period {
            Period::Hour => "%Y-%m-%d %H:00",
            Period::Day => "%Y-%m-%d",
            Period::Week => "the week from %Y-%m-%d",
            Period::Month => "%Y-%m",
            Period::Year => "%Y",
        };
        write!(f, "{}", self.begins.strftime(form))?;
        self.offset.map_or(Ok(()), |offset| write!(f, " (UTC{offset})"))
    }
}
