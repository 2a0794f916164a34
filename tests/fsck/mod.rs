//! How `fsck.fat` begins the lines that it says of a stick which is as it should be.
#![allow(missing_docs, unreachable_pub, reason = "a module of test binaries")]

/// Its greeting, a mark that shows only that a stick was pulled, and a count of free clusters that nobody relies on.
pub const HARMLESS: [&str; 10] = [
    "fsck.fat ",
    "Dirty bit is set",
    " Automatically removing dirty bit",
    "Leaving filesystem",
    "There are differences between boot sector and its backup.",
    "This is mostly harmless. Differences: (offset:original/backup)",
    "  65:01/00",
    "  Not automatically fixing this.",
    "Free cluster summary wrong",
    "  Auto-correcting.",
];
