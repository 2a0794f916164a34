#!/usr/bin/env bash
# The main job from nothing, as `make demo` shows it: no root, nothing outside demo-out/.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$(realpath "${CARGO_TARGET_DIR:-target}")/debug
export PATH=$bin:$PATH:/usr/sbin:/sbin LC_ALL=C.UTF-8
out=$PWD/demo-out
rm -rf "$out"; mkdir "$out"; cd "$out"

step() { printf '\n\033[1m%s\033[0m\n' "$1"; }
run() { printf '\033[2m$ %s\033[0m\n' "$*"; "$@"; }
# A line that must fail, with its reason shown.
refused() { printf '\033[2m$ %s\033[0m\n' "$*"; if "$@"; then echo "this should have been refused" >&2; exit 1; fi; }
till() { "$bin/examples/till" "$@"; }
tills() { sqlite3 "$1" "SELECT count(*) || ' receipts, ' || (SELECT count(*) FROM receipt_lines) || ' line items, ' || printf('%.2f', sum(total_cents) / 100.0) || ' EUR' FROM receipts"; }

step '1. A till: two years of a shop, and it is in use'
till make till.db 200000
echo "till.db: $(tills till.db), $(du -h till.db | cut -f1)"

step '2. A stick as people have them: partitioned, FAT32, with somebody'"'"'s files on it'
truncate -s 300M stick.img
echo 'start=2048, type=c' | sfdisk -q stick.img
mkfs.vfat -F 32 -s 1 -n URLAUB --offset 2048 stick.img 306176 >/dev/null
mkdir foreign; head -c 3000000 /dev/urandom > foreign/Strandfoto.jpg; echo 'Milch, Brötchen' > foreign/Einkaufszettel.txt
mcopy -i stick.img@@1M foreign/* ::/
(cd foreign && sha256sum ./*) > foreign.sums

step '3. A configuration from a few answers'
run tillstick init --yes --set customer=004711 --set box=kasse-1 --set source=kasse --set "path=$out/till.db" --set "primary.dir=$out/backups" -o tillstick.toml
sed -i "s|^state = .*|state = \"$out/state\"|" tillstick.toml
run tillstick config check --config tillstick.toml

step '4. Somebody plugs the stick in'
run tillstick backup --stick stick.img --config tillstick.toml

step '5. Selling goes on while the backup runs'
till sell till.db 4 > sold.txt &
seller=$!
sleep 0.5
run tillstick backup --stick stick.img --config tillstick.toml
wait $seller
cat sold.txt

step '6. Once more, with nothing new: what is known is taken over'
run tillstick backup --stick stick.img --config tillstick.toml
run tillstick backup --stick stick.img --config tillstick.toml

step '7. Somebody pulls the plug in the middle of it'
till day till.db 20 500
tillstick -q backup --stick stick.img --config tillstick.toml &
backup=$!
sleep 0.5
kill -9 $backup 2>/dev/null || true
wait $backup 2>/dev/null || echo 'the backup was killed half-way'
run tillstick check --stick stick.img
echo 'what was finished before is still whole; the next backup tidies up:'
run tillstick backup --stick stick.img --config tillstick.toml

step '8. What lies on the stick'
mdir -/ -b -i stick.img@@1M ::/ | sed 's|^::|  |'
mkdir back; mcopy -i stick.img@@1M ::/Strandfoto.jpg ::/Einkaufszettel.txt back/
(cd back && sha256sum --quiet -c ../foreign.sums) && echo 'somebody'"'"'s files are byte for byte what they were'

step '9. Is it all readable? Read from the stick, restored, compared value by value'
run tillstick check --stick stick.img --drill --scratch "$out"
run tillstick list --config tillstick.toml
run tillstick status --config tillstick.toml

step '10. An auditor needs nothing but ordinary tools'
mcopy -i stick.img@@1M ::/004711_kasse.sql.gz ::/SHA256SUMS .
grep ' 004711_kasse.sql.gz$' SHA256SUMS | sha256sum -c
gunzip -c 004711_kasse.sql.gz | sqlite3 auditor.db
echo "auditor.db: $(tills auditor.db)"

step '11. A restore into a second database, and its comparison with the till'
newest=$(tillstick list --json --config tillstick.toml | sed -n 's/.*"id": "\([^"]*\)".*/\1/p' | head -1)
run tillstick restore "$newest" --into second.db --config tillstick.toml
echo "till.db:   $(tills till.db)"
echo "second.db: $(tills second.db)"
tillstick -q dump sqlite:till.db -o till.sql.gz
tillstick -q dump sqlite:second.db -o second.sql.gz
cmp till.sql.gz second.sql.gz
echo 'every table, row and value is the same: both dump to the same file, byte for byte'

step '12. The shop burnt down: a new box has nothing but the stick'
run tillstick recover stick.img --into newbox --yes
echo "newbox/kasse.db: $(tills newbox/kasse.db)"

step '13. Sticks that are not for backups are refused, and told why'
truncate -s 64M tse.img ntfs.img exfat.img
mkfs.vfat -F 32 -s 1 -n SWISSBIT tse.img >/dev/null
printf '\1' > TSE_INFO.DAT; printf '\1' > TSE_COMM.DAT; mcopy -i tse.img TSE_INFO.DAT TSE_COMM.DAT ::/
mkfs.ntfs -q -F ntfs.img >/dev/null 2>&1
mkfs.exfat exfat.img >/dev/null
sha256sum tse.img > tse.sum
for wrong in tse.img ntfs.img exfat.img; do
  refused tillstick stick inspect "$wrong" --config tillstick.toml
  refused tillstick backup --stick "$wrong" --config tillstick.toml
done
sha256sum --quiet -c tse.sum && echo 'not a byte of the TSE was touched'

step 'What this means for the shop'
cat <<TXT
  Your till's whole database is on the stick, as 004711_kasse.sql.gz.
  It was read back from the stick, restored into an empty database, and every value was the same.
  Selling went on while it was made: $(cat sold.txt).
  If this box is stolen or burns down, a new one has everything back with one command.
  Your own files on the stick are untouched. Everything you saw is in demo-out/.
TXT
