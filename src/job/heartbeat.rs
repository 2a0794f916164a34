//! How the box stands, told to those who look after many: a signed file in each store, and a file for Prometheus.

use std::fmt::Write;

use jiff::Timestamp;
use serde::Serialize;

use super::Site;
use super::record::one_line;
use super::status::{Status, StoreStatus, status};
use super::stores::Opened;
use crate::error::Result;
use crate::host::durable;
use crate::lang::Lang;
use crate::model::{BackupId, PublicKey, Run};
use crate::trust::signing::BoxKey;

/// The version of the file's form.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Heartbeat<'a> {
    format: u32,
    customer: &'a str,
    #[serde(rename = "box")]
    box_name: &'a str,
    box_id: &'a str,
    tool: &'a str,
    /// When this was so.
    at: Timestamp,
    green: bool,
    newest: Option<&'a BackupId>,
    newest_copied: Option<&'a BackupId>,
    stores: &'a [StoreStatus],
    troubles: Vec<String>,
    signed_by: Option<PublicKey>,
}

/// Puts the signed file into a store to which something was just sent. That it fails is told, and fails nothing.
pub(super) fn put(site: &Site, opened: &mut Opened, run: &Run) {
    if let Err(error) = try_put(site, opened, run) {
        run.warn(format!("how this box stands was not told to the store: {}", one_line(&error.report())));
    }
}

fn try_put(site: &Site, opened: &mut Opened, run: &Run) -> Result<()> {
    let now = Timestamp::now();
    let status = status(site, now, run)?;
    let key = BoxKey::read_or_make(&site.config.state).ok();
    let heartbeat = Heartbeat {
        format: FORMAT,
        customer: site.config.customer.as_str(),
        box_name: site.config.box_name.as_str(),
        box_id: &site.box_id,
        tool: concat!("tillstick ", env!("CARGO_PKG_VERSION")),
        at: now,
        green: status.green,
        newest: status.newest.as_ref().map(|newest| &newest.id),
        newest_copied: status.newest_copied.as_ref(),
        stores: &status.stores,
        troubles: status.troubles.iter().map(|trouble| trouble.text(Lang::En)).collect(),
        signed_by: key.as_ref().map(BoxKey::public),
    };
    let mut bytes = serde_json::to_vec_pretty(&heartbeat).expect("plain data");
    bytes.push(b'\n');
    let signature = key.map(|key| key.sign(&bytes));
    opened.shelf.put_status(opened.store.as_mut(), bytes, signature, run)
}

/// Writes the file that node_exporter's textfile collector reads, where one is configured, after a run.
pub(super) fn write_textfile(site: &Site, run: &Run) {
    let Some(path) = &site.config.log.textfile else { return };
    let written = status(site, Timestamp::now(), run)
        .and_then(|status| durable::write(path, metrics(site, &status).as_bytes(), 0o644));
    if let Err(error) = written {
        run.warn(format!("the metrics were not written: {}", one_line(&error.report())));
    }
}

fn metrics(site: &Site, status: &Status) -> String {
    let mut text = String::new();
    let labels =
        format!("customer={},box={}", quoted(site.config.customer.as_str()), quoted(site.config.box_name.as_str()));
    let mut metric = |name: &str, help: &str, more: &str, value: i64| {
        if more.is_empty() || !text.contains(&format!("# TYPE tillstick_{name} ")) {
            let _ = writeln!(text, "# HELP tillstick_{name} {help}\n# TYPE tillstick_{name} gauge");
        }
        let _ = writeln!(text, "tillstick_{name}{{{labels}{more}}} {value}");
    };
    metric("green", "Whether all is well.", "", i64::from(status.green));
    metric("backups", "Good backups on this box.", "", status.backups as i64);
    metric("damaged_backups", "Backups on this box that cannot be used.", "", status.damaged.len() as i64);
    metric("free_bytes", "Bytes free where backups are made.", "", i64::try_from(status.free).unwrap_or(i64::MAX));
    if let Some(started) = status.newest.as_ref().and_then(|newest| newest.started) {
        metric(
            "newest_backup_seconds",
            "When the newest good backup began, in seconds since 1970.",
            "",
            started.as_second(),
        );
    }
    for store in &status.stores {
        let name = format!(",store={}", quoted(store.name.as_str()));
        metric("store_waiting", "Copies that wait for the store.", &name, store.waiting as i64);
    }
    for store in &status.stores {
        let name = format!(",store={}", quoted(store.name.as_str()));
        metric("store_overdue", "Whether the newest copy in the store is too old.", &name, i64::from(store.overdue));
    }
    text
}

/// A label as the format wants it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
