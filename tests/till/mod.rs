//! A realistic till database for the demo, the tests and the benchmarks: two years of a shop's receipts.
//! Always the same for the same size, so that figures can be compared.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Result, Statement, Transaction, params};

/// The tables, a view, a trigger, a search index, the odd corners that real tills have.
const SCHEMA: &str = r#"
CREATE TABLE settings(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE products(id INTEGER PRIMARY KEY, name TEXT NOT NULL, ean TEXT UNIQUE, price_cents INTEGER NOT NULL,
  vat REAL NOT NULL, stock INTEGER NOT NULL DEFAULT 0, net_cents INTEGER AS (round(price_cents / (1 + vat))) VIRTUAL);
CREATE TABLE customers(id INTEGER PRIMARY KEY, name TEXT NOT NULL, street TEXT, town TEXT, points INTEGER DEFAULT 0);
CREATE TABLE vouchers(code TEXT NOT NULL, cents INTEGER NOT NULL, customer INTEGER REFERENCES customers(id), note TEXT);
CREATE TABLE receipts(id INTEGER PRIMARY KEY AUTOINCREMENT, till INTEGER NOT NULL, clerk TEXT NOT NULL, at TEXT NOT NULL,
  customer INTEGER REFERENCES customers(id), total_cents INTEGER NOT NULL, payment TEXT NOT NULL);
CREATE TABLE receipt_lines(id INTEGER PRIMARY KEY, receipt INTEGER NOT NULL REFERENCES receipts(id), position INTEGER NOT NULL,
  product INTEGER NOT NULL REFERENCES products(id), name TEXT NOT NULL, quantity REAL NOT NULL, price_cents INTEGER NOT NULL,
  total_cents INTEGER NOT NULL, vat REAL NOT NULL);
CREATE TABLE signatures(receipt INTEGER NOT NULL, counter INTEGER NOT NULL, signature BLOB NOT NULL);
CREATE INDEX receipts_at ON receipts(at);
CREATE INDEX lines_receipt ON receipt_lines(receipt);
CREATE VIEW daily_sales AS SELECT substr(at, 1, 10) AS day, count(*) AS receipts, sum(total_cents) AS cents FROM receipts GROUP BY day;
CREATE TRIGGER stock_falls AFTER INSERT ON receipt_lines BEGIN
  UPDATE products SET stock = stock - new.quantity WHERE id = new.product; -- sold; is gone
END;
CREATE VIRTUAL TABLE product_search USING fts5(name, content = 'products', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2');
"#;

const NOUNS: [&str; 12] = [
    "Brötchen",
    "Käsekuchen",
    "Weißwurst",
    "Apfelschorle",
    "Müsli \"Extra\"",
    "Crème brûlée",
    "O'Neill's Stout",
    "Jalapeño-Öl",
    "Früchtetee",
    "Hausmacher Sülze",
    "Smørrebrød",
    "Łosoś",
];
const KINDS: [&str; 8] = ["groß", "klein", "6 Stück", "500 g", "1,5 l", "Bio", "Angebot; -20%", "vom Vortag"];
const CLERKS: [&str; 4] = ["Anna", "Jürgen", "Søren", "María José"];

/// The size and the way of writing of a till.
#[derive(Clone, Copy)]
pub(crate) struct Till {
    /// How many line items it has sold.
    pub(crate) lines: i64,
    /// Whether the database is in WAL mode.
    pub(crate) wal: bool,
}

/// A small generator whose sequence never changes.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides.unsigned_abs()) as i64
    }
}

/// Makes the database at `path`, which must not exist.
pub(crate) fn make(path: &Path, till: Till) -> Result<()> {
    let mut db = Connection::open(path)?;
    db.pragma_update(None, "journal_mode", if till.wal { "wal" } else { "delete" })?;
    db.pragma_update(None, "synchronous", "off")?;
    db.pragma_update(None, "foreign_keys", "off")?;
    let tx = db.transaction()?;
    tx.execute_batch(SCHEMA)?;
    // The trigger would only slow the filling down; a till that runs has it.
    tx.execute_batch("DROP TRIGGER stock_falls")?;
    let mut dice = Dice(0x7111_571c_4b0f_f1ce);
    fill_stock(&tx, &mut dice)?;
    fill_sales(&tx, &mut dice, till.lines)?;
    let trigger = SCHEMA.split("CREATE TRIGGER").nth(1).and_then(|rest| rest.split("END;").next()).unwrap_or("");
    tx.execute_batch(&format!("CREATE TRIGGER{trigger}END"))?;
    tx.execute_batch("INSERT INTO product_search(product_search) VALUES('rebuild'); ANALYZE;")?;
    tx.pragma_update(None, "user_version", 42)?;
    tx.commit()?;
    if till.wal {
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    }
    Ok(())
}

fn fill_stock(tx: &Transaction, dice: &mut Dice) -> Result<()> {
    let mut product = tx.prepare("INSERT INTO products(id, name, ean, price_cents, vat, stock) VALUES(?,?,?,?,?,?)")?;
    for id in 1..=6000_i64 {
        let name = format!("{} {} Nr. {id}", NOUNS[dice.roll(12) as usize], KINDS[dice.roll(8) as usize]);
        let vat = if dice.roll(3) == 0 { 0.19 } else { 0.07 };
        product.execute(params![
            id,
            name,
            format!("40{:011}", dice.roll(99_999_999_999)),
            49 + dice.roll(2950),
            vat,
            dice.roll(500)
        ])?;
    }
    let mut customer = tx.prepare("INSERT INTO customers VALUES(?,?,?,?,?)")?;
    for id in 1..=20_000_i64 {
        let street = format!("Straße des 17. Juni {}\r\nHinterhaus", dice.roll(200));
        let street = if dice.roll(50) == 0 { Some(street) } else { None };
        customer.execute(params![
            id,
            format!("Kundin \"{}\" Müller-{id}", dice.roll(1000)),
            street,
            "Görlitz",
            dice.roll(900)
        ])?;
    }
    let mut voucher = tx.prepare("INSERT INTO vouchers(rowid, code, cents, customer, note) VALUES(?,?,?,?,?)")?;
    for n in 1..=3000_i64 {
        voucher.execute(params![
            n * 3,
            format!("G-{:08X}", dice.roll(1 << 32)),
            500 * (1 + dice.roll(20)),
            1 + dice.roll(20_000),
            "für O'Brien"
        ])?;
    }
    let mut setting = tx.prepare("INSERT INTO settings VALUES(?,?)")?;
    setting.execute(params!["shop", "Café Zur Schönen Aussicht"])?;
    setting.execute(params!["vat_normal", 0.19])?;
    setting.execute(params!["logo", vec![0x89_u8, b'P', b'N', b'G', 0, 1, 2]])?;
    Ok(())
}

fn fill_sales(tx: &Transaction, dice: &mut Dice, lines: i64) -> Result<()> {
    let prices: Vec<(String, i64, f64)> = tx
        .prepare("SELECT name, price_cents, vat FROM products ORDER BY id")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_>>()?;
    let mut receipt = tx.prepare("INSERT INTO receipts VALUES(?,?,?,datetime(?,'unixepoch'),?,?,?)")?;
    let mut line = tx.prepare("INSERT INTO receipt_lines VALUES(?,?,?,?,?,?,?,?,?)")?;
    let mut signature = tx.prepare("INSERT INTO signatures VALUES(?,?,?)")?;
    let two_years: i64 = 2 * 365 * 86_400;
    let (mut sold, mut id) = (0, 0);
    while sold < lines {
        id += 1;
        let at = 1_700_000_000 + two_years * sold / lines.max(1);
        let count = (1 + dice.roll(6)).min(lines - sold);
        let mut total = 0;
        for position in 1..=count {
            sold += 1;
            let product = 1 + dice.roll(6000);
            let (name, price, vat) = &prices[product as usize - 1];
            let quantity =
                if dice.roll(9) == 0 { 0.125 * (1 + dice.roll(16)) as f64 } else { (1 + dice.roll(3)) as f64 };
            let cents = (quantity * *price as f64).round() as i64;
            total += cents;
            line.execute(params![sold, id, position, product, name, quantity, price, cents, vat])?;
        }
        write_receipt(&mut receipt, &mut signature, dice, (id, at, total))?;
    }
    Ok(())
}

fn write_receipt(
    receipt: &mut Statement,
    signature: &mut Statement,
    dice: &mut Dice,
    (id, at, total): (i64, i64, i64),
) -> Result<()> {
    let customer = (dice.roll(4) == 0).then(|| 1 + dice.roll(20_000));
    let payment = ["BAR", "EC", "KREDIT", "GUTSCHEIN"][dice.roll(4) as usize];
    receipt.execute(params![id, 1 + dice.roll(3), CLERKS[dice.roll(4) as usize], at, customer, total, payment])?;
    let bytes: Vec<u8> = (0..8)
        .flat_map(|_| {
            dice.roll(256);
            dice.0.to_le_bytes()
        })
        .collect();
    signature.execute(params![id, id, bytes])?;
    Ok(())
}

/// What selling during a backup was like.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Sales {
    /// Receipts sold.
    pub(crate) receipts: u64,
    /// The longest that one sale took.
    pub(crate) slowest: Duration,
}

/// Sells receipts from now on, a pause after each, until `stop` says so. Each receipt is one transaction.
pub(crate) fn sell(path: &Path, pause: Duration, stop: impl Fn() -> bool) -> Result<Sales> {
    let mut db = Connection::open(path)?;
    db.busy_timeout(Duration::from_secs(20))?;
    let mut dice = Dice(0x5e11_5e11 ^ u64::from(std::process::id()));
    let mut sales = Sales::default();
    while !stop() {
        let begun = std::time::Instant::now();
        let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        tx.execute(
            "INSERT INTO receipts(till, clerk, at, total_cents, payment) VALUES(1, 'Anna', datetime('now'), 0, 'BAR')",
            [],
        )?;
        let receipt = tx.last_insert_rowid();
        for position in 1..=1 + dice.roll(4) {
            tx.execute(
                "INSERT INTO receipt_lines(receipt, position, product, name, quantity, price_cents, total_cents, vat)
                 SELECT ?1, ?2, id, name, 1.0, price_cents, price_cents, vat FROM products WHERE id = ?3",
                params![receipt, position, 1 + dice.roll(6000)],
            )?;
        }
        tx.execute("UPDATE receipts SET total_cents = (SELECT sum(total_cents) FROM receipt_lines WHERE receipt = ?1) WHERE id = ?1", [receipt])?;
        tx.execute("INSERT INTO signatures VALUES(?1, ?1, randomblob(64))", [receipt])?;
        tx.commit()?;
        sales.receipts += 1;
        sales.slowest = sales.slowest.max(begun.elapsed());
        std::thread::sleep(pause);
    }
    Ok(sales)
}

/// Changes the till as a day's business does: `appended` per mille of new receipts, and `updates` scattered changes.
pub(crate) fn a_day_passes(path: &Path, appended: i64, updates: i64) -> Result<()> {
    let mut db = Connection::open(path)?;
    // The new lines name products that are not there, so that no product's stock changes: only appended rows differ.
    db.pragma_update(None, "foreign_keys", "off")?;
    let tx = db.transaction()?;
    let lines: i64 = tx.query_row("SELECT count(*) FROM receipt_lines", [], |row| row.get(0))?;
    let first: i64 = tx.query_row("SELECT max(id) + 1 FROM receipts", [], |row| row.get(0))?;
    let mut dice = Dice(0xda11_da11);
    let mut receipt = tx.prepare("INSERT INTO receipts VALUES(?,1,'Anna',datetime('2026-01-01'),NULL,?,'BAR')")?;
    let mut line = tx.prepare("INSERT INTO receipt_lines(receipt, position, product, name, quantity, price_cents, total_cents, vat) VALUES(?,1,?,'Käse',1.0,?,?,0.07)")?;
    let mut signature = tx.prepare("INSERT INTO signatures VALUES(?1, ?1, randomblob(64))")?;
    for id in first..first + lines * appended / 3500 {
        receipt.execute(params![id, dice.roll(9999)])?;
        for _ in 0..3 {
            let cents = dice.roll(2999);
            line.execute(params![id, 7000 + dice.roll(10), cents, cents])?;
        }
        signature.execute([id])?;
    }
    for _ in 0..updates {
        let (customer, product) = (1 + dice.roll(20_000), 1 + dice.roll(6000));
        match dice.roll(17) {
            0 => tx.execute("UPDATE receipts SET payment = 'STORNO' WHERE id = ?", [1 + dice.roll(first - 1)])?,
            1..4 => tx.execute("UPDATE products SET price_cents = price_cents + 1 WHERE id = ?", [product])?,
            _ => tx.execute("UPDATE customers SET points = points + 7 WHERE id = ?", [customer])?,
        };
    }
    drop((receipt, line, signature));
    tx.commit()
}
