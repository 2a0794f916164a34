//! A slow stick while the till goes on selling.

use serde_json::Value;

use super::kit::{BY_HAND, agent, stop, until, until_sticks_are};
use super::scenarios;
use crate::machine::{DUMP, LARGE_TILL, Machine};
use crate::medium::Behaviour;

scenarios![a_till_goes_on_selling_while_a_slow_stick_is_written];

/// Ten receipts a second.
const SELL: &str = "inside till /srv/till/kasse.db";
const RATE: u32 = 10;

#[track_caller]
fn sold(out: &str) -> Value {
    serde_json::from_str(out.trim()).unwrap()
}

fn a_till_goes_on_selling_while_a_slow_stick_is_written(machine: &mut Machine) {
    machine.guest().must(LARGE_TILL);
    let agent = agent(machine, BY_HAND);
    let alone = sold(&machine.guest().must(&format!("{SELL} 6 {RATE}")));
    let stick = machine.sold_stick("stick1");
    stick.medium.behaves(Behaviour { bytes_per_second: Some(200_000), ..Behaviour::default() });
    let at = stick.medium.writes();
    machine.attach(&stick);
    let till = machine.guest().start(&format!("{SELL} 10 {RATE}"));
    let ran = machine.guest().join(till).exits(0);
    let beside = sold(&ran.out);
    assert!(stick.medium.writes() > at, "the stick was written to meanwhile");
    stick.medium.behaves(Behaviour::default());
    until_sticks_are(machine, &["safe"]);
    until(machine, |status| status["agent"]["stage"].is_null());
    machine.pull(&stick);
    stop(machine, agent);
    println!("the till alone: {alone}\nbeside a copy to a slow stick: {beside}");
    let number = |of: &Value, what: &str| of[what].as_f64().unwrap();
    assert!(number(&beside, "max_ms") < 2000.0, "a sale waited for the backup: {beside}");
    assert!(number(&beside, "wal_bytes") < 8e6, "the log grew: {beside}");
    stick.sums_are_right();
    assert!(!stick.read(DUMP).is_empty());
}
