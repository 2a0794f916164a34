//! A line that is cut at bytes that a lot draws.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tillstick::error::Kind;
use tillstick::store::Content;

use super::proxy::Proxy;
use crate::contract::{Subject, get, names, noise, open_it, opened, put, quietly};

/// After so many that went wrong no more are tried.
const MANY: u32 = 20;

/// Wherever the line is cut, what is in sight is whole, and the next put goes on at least where `least` says, which is told
/// after how many bytes the line was cut, and the size. Each size is tried so many times.
pub(crate) fn anywhere(subject: &dyn Subject, proxy: &Proxy, sizes: [(u64, u32); 2], least: impl Fn(u64, u64) -> u64) {
    let (mut lot, mut tried, mut wrong) = (88_172_645_463_325_252_u64, 0, 0);
    for (size, cases) in sizes {
        let bytes = noise(size as usize, 5);
        for case in 0..cases {
            lot ^= lot << 13;
            lot ^= lot >> 7;
            lot ^= lot << 17;
            let (cut, name) = (lot % (size + 10_000), format!("{size}-{case}"));
            // What is wrong with each is told where it is found.
            let good = catch_unwind(AssertUnwindSafe(|| once(subject, proxy, &bytes, &name, cut, least(cut, size))));
            (tried, wrong) = (tried + 1, wrong + u32::from(good.is_err()));
            assert!(wrong < MANY, "{wrong} of {tried} cuts went wrong");
        }
    }
    assert_eq!(wrong, 0, "so many of {tried} cuts went wrong");
}

/// One cut after so many bytes.
fn once(subject: &dyn Subject, proxy: &Proxy, bytes: &[u8], name: &str, cut: u64, least: u64) {
    let (path, told) = (format!("4711/b/{name}"), format!("cut after {cut} of {}", bytes.len()));
    proxy.cut_after(cut as i64);
    let first =
        open_it(subject).and_then(|mut store| quietly(|run| store.put(&path, &Content::bytes(bytes.to_vec()), run)));
    proxy.mend();
    let mut store = opened(subject);
    let there = names(store.as_mut(), "4711/b").iter().any(|there| there == name);
    match first {
        Ok(_) => assert!(there, "{told}"),
        Err(error) => assert_eq!(error.kind(), Kind::Io, "{told}: {}", error.report()),
    }
    if there {
        assert!(get(store.as_mut(), &path) == bytes, "{told}");
    }
    let again = put(store.as_mut(), &path, bytes);
    assert!(again.resumed >= least, "{told}: {again:?}");
    assert!(get(store.as_mut(), &path) == bytes, "{told}");
    store.delete(&path).unwrap();
}
