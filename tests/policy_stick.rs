//! The verdict over tables of facts.

use tillstick::error::Kind;
use tillstick::lang::Lang;
use tillstick::policy::stick::{
    DeviceFacts, FsKind, Look, PartitionTable, Problem, Reason, RootEntry, StickFacts, StickRules, VerdictKind,
    VolumeFacts, judge,
};
use tillstick::policy::tse::{self, Maker, TseRules};

const GIB: u64 = 1 << 30;

fn good() -> StickFacts {
    let device = DeviceFacts {
        vendor_id: Some("0951".into()),
        model_id: Some("1666".into()),
        vendor: Some("Kingston".into()),
        model: Some("DataTraveler_3.0".into()),
        serial: Some("E0D55EA573FC".into()),
        positions: vec!["pci-0000:00:14.0-usb-0:2:1.0-scsi-0:0:0:0".into(), "1-2".into()],
        size: 8 * GIB,
        removable: Some(true),
        ..DeviceFacts::default()
    };
    StickFacts { device, look: Look::Done, table: PartitionTable::Mbr, volumes: vec![fat32(0)], wanted: None }
}

fn fat32(offset: u64) -> VolumeFacts {
    VolumeFacts { offset, size: GIB, declared_size: GIB, kind: FsKind::Fat32, ..VolumeFacts::default() }
}

fn file(name: &str) -> RootEntry {
    RootEntry { name: name.into(), size: 0, is_dir: false }
}

fn verdict(facts: &StickFacts) -> VerdictKind {
    judge(facts, &StickRules::default()).kind
}

fn refusal(facts: &StickFacts) -> Reason {
    match verdict(facts) {
        VerdictKind::Refused(reason) => reason,
        usable => panic!("{usable:?}"),
    }
}

#[test]
fn every_sign_on_the_device_makes_a_tse() {
    let named = TseRules { serials: vec![" e0d55ea573fc".into()], positions: vec!["1-2".into()] };
    let none = TseRules::default();
    let with = |change: fn(&mut DeviceFacts)| {
        let mut device = good().device;
        change(&mut device);
        device
    };
    let cases: [(&str, DeviceFacts, &TseRules, Option<Maker>); 20] = [
        ("an ordinary stick", good().device, &none, None),
        ("Swissbit's id", with(|d| d.vendor_id = Some("1370".into())), &none, Some(Maker::Swissbit)),
        ("with a prefix", with(|d| d.vendor_id = Some("0x1370".into())), &none, Some(Maker::Swissbit)),
        (
            "Epson's ids",
            with(|d| (d.vendor_id, d.model_id) = (Some("04B8".into()), Some("0638".into()))),
            &none,
            Some(Maker::Epson),
        ),
        (
            "Epson's ids without zeros",
            with(|d| (d.vendor_id, d.model_id) = (Some("4b8".into()), Some("638".into()))),
            &none,
            Some(Maker::Epson),
        ),
        (
            "another Epson product",
            with(|d| (d.vendor_id, d.model_id) = (Some("04b8".into()), Some("0202".into()))),
            &none,
            None,
        ),
        ("0638 of another vendor", with(|d| d.model_id = Some("0638".into())), &none, None),
        ("the name EPSON", with(|d| d.vendor = Some("EPSON".into())), &none, Some(Maker::Epson)),
        ("TSE USB stick", with(|d| d.model = Some("TSE_USB_stick".into())), &none, Some(Maker::Unknown)),
        ("with blanks", with(|d| d.model = Some("tse usb stick ".into())), &none, Some(Maker::Unknown)),
        ("a longer word", with(|d| d.model = Some("TSEPHONE".into())), &none, None),
        ("the name Swissbit", with(|d| d.vendor = Some("swissbit".into())), &none, Some(Maker::Swissbit)),
        ("a USB string alone", with(|d| d.names = vec!["Swissbit AG".into()]), &none, Some(Maker::Swissbit)),
        ("udev's label", with(|d| d.labels = vec!["X".into(), "SWISSBIT".into()]), &none, Some(Maker::Swissbit)),
        ("a named serial", good().device, &TseRules { positions: vec![], ..named.clone() }, Some(Maker::Unknown)),
        ("a named place", good().device, &TseRules { serials: vec![], ..named.clone() }, Some(Maker::Unknown)),
        ("another place", with(|d| (d.serial, d.positions) = (None, vec!["1-2.1".into()])), &named, None),
        ("no serial at all", with(|d| (d.serial, d.positions) = (None, vec![])), &named, None),
        ("nothing known", DeviceFacts::default(), &named, None),
        ("no ids", with(|d| (d.vendor_id, d.model_id) = (None, None)), &none, None),
    ];
    for (what, device, rules, maker) in cases {
        let sign = tse::of_device(&device, rules);
        assert_eq!(sign.as_ref().map(|sign| sign.maker), maker, "{what}: {sign:?}");
        let facts = StickFacts { device, look: Look::NotOpened, volumes: vec![], ..good() };
        let refused = judge(&facts, &StickRules { tse: rules.clone(), allow_foreign: true, ..StickRules::default() });
        let by_tse = matches!(refused.kind, VerdictKind::Refused(Reason::Tse { .. }));
        assert_eq!(by_tse, maker.is_some(), "{what}: {refused:?}");
    }
}

#[test]
fn every_sign_in_a_volume_makes_a_tse_and_lookalikes_do_not() {
    for name in ["TSE_INFO.DAT", "tse_comm.dat", "TSE_TAR.001", "TSE_TAR.999", "TSE-IO.bin", ".SwissbitWorm"] {
        let volume = VolumeFacts { root: vec![file("a"), file(name)], ..fat32(0) };
        assert!(tse::of_volume(&volume).is_some(), "{name}");
    }
    for name in ["TSE_INFO.DAT.txt", "MY_TSE_INFO.DAT", "TSE_TAR", "TSE-Export.tar", "swissbit.pdf"] {
        let volume = VolumeFacts { root: vec![file(name)], ..fat32(0) };
        assert_eq!(tse::of_volume(&volume), None, "{name}");
    }
    for (label, boot_label) in [(Some("SWISSBIT"), None), (None, Some("Swissbit")), (Some("X"), Some("SWISSBIT TSE"))] {
        let own = |label: Option<&str>| label.map(str::to_owned);
        let volume = VolumeFacts { label: own(label), boot_label: own(boot_label), ..fat32(0) };
        assert!(tse::of_volume(&volume).is_some(), "{label:?} {boot_label:?}");
    }
}

#[test]
fn a_tse_beats_every_other_reason() {
    let sign = || vec![file("TSE_INFO.DAT")];
    let spoilt: [fn(&mut StickFacts); 8] = [
        |facts| facts.device.read_only = true,
        |facts| facts.device.removable = Some(false),
        |facts| facts.look = Look::Failed("EIO".into()),
        |facts| facts.table = PartitionTable::Damaged,
        |facts| facts.volumes[0].problem = Some(Problem::Overlap),
        |facts| facts.volumes[0].declared_size = 100 * GIB,
        |facts| facts.volumes[0].kind = FsKind::Fat16,
        |facts| facts.volumes.insert(0, fat32(9)),
    ];
    for (number, spoil) in spoilt.into_iter().enumerate() {
        let mut facts = good();
        facts.volumes[0].root = sign();
        spoil(&mut facts);
        assert!(matches!(refusal(&facts), Reason::Tse { .. }), "case {number}");
        // Even when a person named another volume of the device.
        facts.wanted = Some(9);
        assert!(matches!(refusal(&facts), Reason::Tse { .. }), "case {number}");
    }
}

#[test]
fn the_first_sound_fat32_volume_is_used() {
    let other = |kind| VolumeFacts { kind, ..fat32(5) };
    let sick = VolumeFacts { problem: Some(Problem::Overlap), ..fat32(3) };
    let cases = [
        (vec![fat32(1), fat32(2)], Ok(0)),
        (vec![other(FsKind::Ntfs), fat32(2)], Ok(1)),
        (vec![other(FsKind::Blank), other(FsKind::Unknown), fat32(2)], Ok(2)),
        (vec![sick.clone(), fat32(2)], Ok(1)),
        (vec![other(FsKind::Ntfs), sick.clone()], Err(Reason::Damaged { what: Problem::Overlap })),
        (vec![sick, other(FsKind::Ntfs)], Err(Reason::Damaged { what: Problem::Overlap })),
        (vec![other(FsKind::ExFat), other(FsKind::Ntfs)], Err(Reason::WrongFilesystem { found: FsKind::ExFat })),
        (vec![other(FsKind::Blank), other(FsKind::Blank)], Err(Reason::Blank)),
        (vec![], Err(Reason::Blank)),
    ];
    for (volumes, expected) in cases {
        let facts = StickFacts { volumes, ..good() };
        let verdict = judge(&facts, &StickRules::default());
        assert_eq!(verdict.volume(), expected.as_ref().map(|index| *index), "{:?}", facts.volumes);
    }
}

#[test]
fn the_volume_that_a_person_named_is_the_only_one_considered() {
    let facts = StickFacts { volumes: vec![fat32(1), fat32(2)], wanted: Some(2), ..good() };
    assert_eq!(verdict(&facts), VerdictKind::Usable { volume: 1 });
    let facts = StickFacts { wanted: Some(7), ..facts };
    assert_eq!(refusal(&facts), Reason::Blank);
}

#[test]
fn built_in_disks_are_refused_unless_the_rules_or_an_image_say_otherwise() {
    let mut facts = good();
    for (removable, is_image, allow_fixed, refused) in [
        (Some(false), false, false, true),
        (Some(false), false, true, false),
        (Some(false), true, false, false),
        (Some(true), false, false, false),
        (None, false, false, false),
    ] {
        (facts.device.removable, facts.device.is_image) = (removable, is_image);
        let kind = judge(&facts, &StickRules { allow_fixed, ..StickRules::default() }).kind;
        assert_eq!(kind == VerdictKind::Refused(Reason::NotRemovable), refused, "{removable:?} {is_image}");
    }
}

#[test]
fn every_refusal_has_words_for_the_till_in_each_language_and_details_for_the_log() {
    let sign =
        tse::of_device(&DeviceFacts { vendor_id: Some("1370".into()), ..DeviceFacts::default() }, &TseRules::default());
    let reasons = [
        Reason::Tse { sign: sign.unwrap() },
        Reason::NotRemovable,
        Reason::Unreadable { why: "EIO".into() },
        Reason::Blank,
        Reason::WrongFilesystem { found: FsKind::Ntfs },
        Reason::WrongFilesystem { found: FsKind::Unknown },
        Reason::VolumeLargerThanDevice { end: 64_000_000_000, size: 7_800_000_000 },
        Reason::Damaged { what: Problem::Overlap },
        Reason::ReadOnly,
        Reason::TooSmall { need: 2_500_000_000, size: 128_000_000 },
        Reason::OtherCustomer { customer: "004711".parse().unwrap(), box_name: "kasse-1".parse().unwrap() },
        Reason::OtherBox { box_name: "kasse-1".parse().unwrap(), box_id: "ab".repeat(16) },
    ];
    for reason in &reasons {
        let texts = [Lang::De, Lang::En, Lang::Es].map(|lang| reason.text(lang));
        assert!(texts[0] != texts[1] && texts[1] != texts[2], "{texts:?}");
        for text in texts {
            assert!(text.ends_with(['.', ')']) && text.chars().next().unwrap().is_uppercase(), "{text}");
        }
        let error = reason.to_error();
        assert!(error.remedy().is_some() && !error.to_string().ends_with('.'), "{}", error.report());
    }
    assert_eq!(reasons[9].to_error().kind(), Kind::NoSpace);
    let text = reasons[9].text(Lang::De);
    assert!(text.contains("2,5 GB") && text.contains("128 MB"), "{text}");
    assert!(reasons[6].text(Lang::En).contains("64 GB but has only 7.8 GB"), "{}", reasons[6].text(Lang::En));
    assert!(reasons[4].text(Lang::Es).contains("NTFS"));
}

#[test]
fn words_from_a_hostile_device_are_escaped_in_the_log() {
    let device = DeviceFacts { vendor: Some("EPSON\x1b[2J".into()), ..DeviceFacts::default() };
    let facts = StickFacts { device, ..good() };
    let shown = refusal(&facts).to_string();
    assert!(!shown.contains('\x1b') && shown.contains("EPSON"), "{shown}");
}

#[test]
fn facts_and_verdict_become_json() {
    let facts = good();
    let json = serde_json::to_value((&facts, judge(&facts, &StickRules::default()))).unwrap();
    assert_eq!(json[0]["volumes"][0]["kind"], "fat32");
    assert_eq!(json[1]["kind"]["usable"]["volume"], 0);
}
