//! Databases that are large for their number of rows.

use rusqlite::Connection;

/// Fills a database until it is longer than `size`, half of it in BLOBs of many pages and the rest in small rows.
pub fn fill(db: &Connection, blob: u64, size: u64) {
    db.execute_batch(
        "CREATE TABLE large(id INTEGER PRIMARY KEY, data BLOB); CREATE TABLE small(id INTEGER PRIMARY KEY, n)",
    )
    .unwrap();
    db.execute_batch("BEGIN").unwrap();
    let mut id = 0_i64;
    while db.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs()
        * db.query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs()
        <= size
    {
        id += 1;
        let mut data = vec![id as u8; blob as usize];
        data[..8].copy_from_slice(&id.to_le_bytes());
        db.execute("INSERT INTO large VALUES(?1, ?2)", (id, data)).unwrap();
        for n in 0..20_i64 {
            db.execute("INSERT INTO small(n) VALUES(?1)", [n * id]).unwrap();
        }
    }
    db.execute_batch("CREATE INDEX by_n ON small(n); COMMIT").unwrap();
}
