//! Lines that fail, and what may come of it.

mod cuts;
mod proxy;

pub(crate) use cuts::anywhere;
pub(crate) use proxy::Proxy;
