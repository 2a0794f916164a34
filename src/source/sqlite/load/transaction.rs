//! What the text says of transactions: it tells whether the text is complete. Pure.

use super::statement::Statement;

/// The most savepoints that may be open at a time; dumps have none or one.
const SAVEPOINTS: usize = 32;

/// The transactions of the text, and the one of our own around all of it.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    begun: bool,
    savepoints: Vec<Vec<u8>>,
    committed: bool,
    own: bool,
}

impl Transaction {
    /// Follows one statement; fails, saying why, when it does not fit to those before it.
    pub(super) fn follow(&mut self, statement: &Statement) -> Result<(), String> {
        let wrong = |why: &str| Err(why.to_owned());
        match statement {
            Statement::Begin if self.open().is_some() => return wrong("the transaction before it was not finished"),
            Statement::Begin => self.begun = true,
            Statement::Commit if self.open().is_none() => return wrong("no transaction was begun before it"),
            Statement::Commit => {
                self.begun = false;
                self.savepoints.clear();
                self.committed = true;
            }
            Statement::Savepoint(_) if self.savepoints.len() == SAVEPOINTS => return wrong("too many are open"),
            Statement::Savepoint(name) => self.savepoints.push(name.clone()),
            Statement::Release(name) => {
                let Some(place) = self.savepoints.iter().rposition(|open| open == name) else {
                    return wrong("no such savepoint is open");
                };
                self.savepoints.truncate(place);
                self.committed |= self.open().is_none();
            }
            _ => {}
        }
        Ok(())
    }

    /// What is open, if something is.
    pub(super) fn open(&self) -> Option<&'static str> {
        if self.begun {
            Some("a transaction")
        } else if self.savepoints.is_empty() {
            None
        } else {
            Some("a savepoint")
        }
    }

    /// Whether at least one was finished.
    pub(super) fn committed(&self) -> bool {
        self.committed
    }

    /// Takes note that our own is needed; `true` when it has to be begun now.
    pub(super) fn begin_own(&mut self) -> bool {
        !std::mem::replace(&mut self.own, true)
    }

    /// Whether our own was begun.
    pub(super) fn own_is_open(&self) -> bool {
        self.own
    }
}
