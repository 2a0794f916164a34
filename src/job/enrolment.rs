//! Which sticks this box takes for its own: letting one in, enrolling, adopting and forgetting it.

use serde::{Deserialize, Serialize};

use super::stick::Judged;
use super::{Site, StickAt};
use crate::config::Automount;
use crate::error::{Context, Error, Kind, Result};
use crate::policy::enrol::{self, Admission, Enrolment, Marks};
use crate::policy::stick::{Reason, StickNote, VerdictKind};
use crate::stick::{layout, token};
use crate::trust::{self, Changing, Enrolments, rules};

/// The sticks that are enrolled.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Enrolled {
    /// Each of them.
    pub enrolled: Vec<Enrolment>,
}

/// The sticks that are enrolled.
pub fn list(site: &Site) -> Result<Enrolled> {
    Ok(Enrolled { enrolled: Enrolments::read(&site.config.state)?.list().to_vec() })
}

/// Forgets a stick by its enrolment, its serial number or its file system's id; gives what was forgotten.
pub fn forget(site: &Site, name: &str) -> Result<Enrolled> {
    let held = trust::changing();
    let gone = Enrolments::read(&site.config.state)?.forget(name, &held)?;
    for enrolment in &gone {
        // Whatever the configuration says today: the rule may have been written yesterday.
        if let Err(error) = rules::remove(&site.config.sticks.rules_dir, &enrolment.id) {
            log::warn!("{}", error.report());
        }
    }
    Ok(Enrolled { enrolled: gone })
}

/// Whether a stick that may be written is one of ours. `asked` when somebody wants it to be.
pub(super) fn admission(site: &Site, at: &StickAt, judged: &Judged, asked: bool) -> Result<Admission> {
    let enrolments = Enrolments::read(&site.config.state)?;
    let mut fs = at.open_as(judged)?;
    let bytes = token::read(fs.as_mut(), &site.config.box_name, trust::TOKEN_MAX)?;
    let token = enrolments.judge(bytes.as_deref())?;
    // A copy that is known to be on a stick is a trace of an enrolment, should the list and all else be lost.
    let had_any = enrolments.had_any() || site.primary.list()?.iter().any(|stored| !stored.copies().is_empty());
    Ok(enrol::admit(&enrol::Facts {
        accept: site.config.sticks.accept,
        enrolled: enrolments.list(),
        had_any,
        asked,
        marks: &marks(judged),
        token: &token,
    }))
}

/// Enrols the stick, if it still may be: another one may have become the first meanwhile.
pub(super) fn let_in(site: &Site, at: &StickAt, asked: bool) -> Result<()> {
    let held = trust::changing();
    let judged = at.inspect(site)?;
    match admission(site, at, &judged, asked)? {
        Admission::Welcome => Ok(()),
        Admission::Refused(what) => {
            let reason = Reason::Stranger { what };
            Err(reason.to_error()).context(|| format!("the stick {:?} is refused", at.path))
        }
        Admission::Enrol(why) => {
            log::info!("the stick {:?} is enrolled: {why}", at.path);
            put_token(site, at, &judged, false, &held).map(drop)
        }
    }
}

/// Enrols the stick because somebody wants it.
pub fn enroll(site: &Site, at: &StickAt) -> Result<Enrolled> {
    let held = trust::changing();
    let judged = at.inspect(site)?;
    Ok(Enrolled { enrolled: vec![put_token(site, at, &judged, false, &held)?] })
}

/// Takes over the stick of another box of this customer that has the same name, because this box replaces it.
///
/// # Errors
/// Any other reason against the stick stays one; another customer's is never taken over.
pub fn adopt(site: &Site, at: &StickAt) -> Result<Enrolled> {
    let held = trust::changing();
    match at.judge_for(site)?.verdict.kind {
        VerdictKind::Refused(Reason::OtherBox { .. }) => {}
        VerdictKind::Refused(reason) => {
            return Err(reason.to_error()).context(|| format!("the stick {:?} is refused", at.path));
        }
        VerdictKind::Usable { .. } => {
            return Err(Error::new(Kind::Usage, format!("the stick {:?} is no other box's", at.path))
                .help("it can be used as it is; `tillstick stick enroll` makes it one of this box"));
        }
    }
    let (mut fs, judged) = at.open_for_taking_over(site)?;
    let note = StickNote {
        format: StickNote::FORMAT,
        customer: site.config.customer.clone(),
        box_name: site.config.box_name.clone(),
        box_id: site.box_id.clone(),
        made: Some(jiff::Timestamp::now()),
    };
    let mut bytes = serde_json::to_vec_pretty(&note).expect("plain data");
    bytes.push(b'\n');
    token::replace(fs.as_mut(), layout::STICK, &bytes)?;
    drop(fs);
    Ok(Enrolled { enrolled: vec![put_token(site, at, &judged, true, &held)?] })
}

/// The token first: a stick that has one and is not in the list can be enrolled again, the other way round it is refused.
fn put_token(site: &Site, at: &StickAt, judged: &Judged, adopted: bool, held: &Changing) -> Result<Enrolment> {
    let mut enrolments = Enrolments::read(&site.config.state)?;
    let (enrolment, bytes) = enrolments.prepare(marks(judged), adopted, held)?;
    let (mut fs, _) = at.open_for_writing(site)?;
    token::write(fs.as_mut(), &site.config.box_name, &bytes)
        .context(|| format!("cannot enrol the stick {:?}", at.path))?;
    drop(fs);
    let replaced: Vec<String> = enrolments.list().iter().map(|known| known.id.clone()).collect();
    enrolments.add(enrolment.clone(), held)?;
    keep_others_off(site, &enrolment, &enrolments, &replaced);
    Ok(enrolment)
}

/// Writes the udev rule of a new enrolment, where the configuration wants one, and removes those of enrolments that it
/// replaced. The stick is enrolled all the same when that fails: it can be used beside an automounter.
fn keep_others_off(site: &Site, new: &Enrolment, enrolments: &Enrolments, before: &[String]) {
    let dir = &site.config.sticks.rules_dir;
    let gone = before.iter().filter(|id| !enrolments.list().iter().any(|known| known.id == **id));
    let removed = gone.map(|id| rules::remove(dir, id));
    let written = (site.config.sticks.automount == Automount::Own).then(|| rules::write(dir, new));
    for error in removed.chain(written).filter_map(Result::err) {
        log::warn!("{}", error.report());
    }
}

fn marks(judged: &Judged) -> Marks {
    let facts = &judged.inspection.facts;
    let volume = judged.verdict.volume().ok().and_then(|index| facts.volumes.get(index));
    Marks { serial: facts.device.serial.clone(), uuid: volume.and_then(|volume| volume.uuid.clone()) }
}
