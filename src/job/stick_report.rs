//! What `stick inspect` tells: everything that is known about a stick, and what may be done with it.

use serde::Serialize;

use super::{Site, StickAt};
use crate::error::Result;
use crate::lang::Lang;
use crate::policy::stick::{StickFacts, Verdict, VerdictKind};

/// What was found out about a stick.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether this box would write to it.
    pub usable: bool,
    /// Why not, in the words of the shop.
    pub reason: Option<String>,
    /// One line for the device and one for each volume.
    pub found: Vec<String>,
    /// The verdict with its details.
    pub verdict: Verdict,
    /// All facts.
    pub facts: StickFacts,
}

/// Looks at the stick read-only. Without a site nobody's ownership is judged.
pub fn inspect(at: &StickAt, site: Option<&Site>, lang: Lang) -> Result<Report> {
    let judged = match site {
        Some(site) => at.judge_for(site)?,
        None => at.look()?,
    };
    let facts = judged.inspection.facts;
    let reason = match &judged.verdict.kind {
        VerdictKind::Usable { .. } => None,
        VerdictKind::Refused(reason) => Some(format!("{}\n ({reason})", reason.text(lang))),
    };
    Ok(Report {
        usable: reason.is_none(),
        reason,
        found: found(&facts, &judged.verdict),
        verdict: judged.verdict,
        facts,
    })
}

fn found(facts: &StickFacts, verdict: &Verdict) -> Vec<String> {
    let device = &facts.device;
    let name = [&device.vendor, &device.model, &device.serial].into_iter().flatten().map(|text| format!("{text:?} "));
    let mut lines = vec![format!("{}{} bytes", name.collect::<String>(), device.size)];
    for volume in &facts.volumes {
        let label = volume.label.as_ref().map_or(String::new(), |label| format!(" {label:?}"));
        let uuid = volume.uuid.as_ref().map_or(String::new(), |uuid| format!(" {uuid}"));
        let free = volume.free.map_or(String::new(), |free| format!(", {free} bytes free"));
        lines.push(format!("  at {}: {}{label}{uuid}, {} bytes{free}", volume.offset, volume.kind.name(), volume.size));
        if let Some(owner) = &volume.owner {
            lines.push(format!("  used by customer {}, box {}", owner.customer, owner.box_name));
        }
    }
    lines.extend(verdict.notes.iter().map(|note| format!("  note: {note}")));
    lines
}
