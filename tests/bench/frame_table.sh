#!/bin/bash
# Make the data of docs/decisions/0001-chunk-and-frame-size.md and fill in its tables.
#
#   frame_table.sh WORKDIR [SCALE]
#
# Data, kept in WORKDIR and made only where missing (some 2.5 GB at the default scale of 20):
#   v1.dump   pg_dump -Fc -Z0 of pgbench's tables and of two order-like tables
#   v2.dump   the same after 300 scattered rows were updated
#   v3.dump   the same after 10,000 transactions more, uniformly scattered: half pgbench's own, half
#             on orders (an update by id, an insert)
#   tree.tar  /usr/include and /usr/share
# The cluster is private, listens on a socket in WORKDIR only, and is stopped at the end.
set -eu

work=$(realpath -m "$1")
scale=${2:-20}
root=$(realpath "$(dirname "$0")/../..")
bin=${PG_BIN:-$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)}
mkdir -p "$work"

as_pg() { # PostgreSQL refuses to run as root.
    if [ "$(id -u)" = 0 ]; then
        (cd "$work/pg" && runuser -u postgres -- "$@")
    else
        (cd "$work/pg" && "$@")
    fi
}
sql() { as_pg "$bin/psql" -X -q -v ON_ERROR_STOP=1 -h "$work/pg" -d shop -c "$1" >/dev/null; }
dump() {
    as_pg "$bin/pg_dump" -h "$work/pg" -Fc -Z0 shop >"$work/$1.part"
    mv "$work/$1.part" "$work/$1"
}

make_dumps() {
    rm -rf "$work/pg"
    mkdir "$work/pg"
    [ "$(id -u)" = 0 ] && chown postgres "$work/pg"
    as_pg "$bin/initdb" -D "$work/pg/data" -A trust --no-sync >/dev/null
    # Autovacuum off and explicit VACUUM instead: the same rows move in every run.
    as_pg "$bin/pg_ctl" -s -w -D "$work/pg/data" -l "$work/pg/log" \
        -o "-k '$work/pg' -c listen_addresses= -c fsync=off -c autovacuum=off -c max_wal_size=4GB -c shared_buffers=512MB" start
    trap 'as_pg "$bin/pg_ctl" -s -m immediate -D "$work/pg/data" stop || true' EXIT
    as_pg "$bin/createdb" -h "$work/pg" shop
    as_pg "$bin/pgbench" -q -i -s "$scale" -h "$work/pg" shop 2>/dev/null
    sql "
        select setseed(0.42);
        create table customers as
            select i as id, md5(i::text || 'n') as token, 'user' || i || '@' || (array['example.org',
                   'mail.example.net', 'firma.example', 'uni.example.edu'])[1 + i % 4] as mail,
                   (array['Anna','Bob','Chen','Dilara','Emil','Fatou','Grace','Hugo'])[1 + (i * 7) % 8] || ' ' ||
                   (array['Meyer','Silva','Okafor','Tanaka','Novak','Rossi','Dubois'])[1 + (i * 13) % 7] as name,
                   (random() * 90000)::int + 10000 as zip, now()::date - (random() * 3000)::int as since
            from generate_series(1, $scale * 10000) i;
        create table orders as
            select i as id, (random() * $scale * 10000)::int as customer_id,
                   timestamp '2020-01-01' + i * interval '37 seconds' + random() * interval '30 seconds' as placed_at,
                   (array['new','paid','packed','shipped','returned'])[1 + (random() * 4)::int] as status,
                   (random() * 50000)::numeric(10,2) as total, 'EUR' as currency,
                   md5(random()::text) as reference,
                   'item ' || (random() * 5000)::int || ' x ' || (1 + random() * 9)::int || ', ' ||
                   (array['gift wrap','no note','leave at door','call first'])[1 + (random() * 3)::int] as note
            from generate_series(1, $scale * 80000) i;
        alter table customers add primary key (id);
        alter table orders add primary key (id);"
    sql "vacuum analyze"
    dump v1.dump
    sql "
        select setseed(0.43);
        update orders set status = 'returned' where id in
            (select 1 + (random() * ($scale * 80000 - 1))::int from generate_series(1, 200));
        update pgbench_accounts set abalance = abalance + 7 where aid in
            (select 1 + (random() * ($scale * 100000 - 1))::int from generate_series(1, 100));"
    sql "vacuum"
    dump v2.dump
    cat >"$work/pg/orders.sql" <<END
\\set id random(1, $scale * 80000)
\\set customer random(1, $scale * 10000)
begin;
update orders set status = 'packed', total = total + 1 where id = :id;
insert into orders select 100000000 + txid_current(), :customer, now(), 'new', random() * 500, 'EUR',
    md5(random()::text), 'item ' || :id % 5000 || ' x 1, no note';
end;
END
    as_pg "$bin/pgbench" -n -c 1 -t 10000 --random-seed=42 -b tpcb-like@1 -f orders.sql@1 -h "$work/pg" shop >/dev/null
    sql "vacuum"
    dump v3.dump
}

[ -f "$work/v3.dump" ] || make_dumps
if [ ! -f "$work/tree.tar" ]; then
    tar -C / --sort=name -cf "$work/tree.tar.part" usr/include usr/share 2>/dev/null
    mv "$work/tree.tar.part" "$work/tree.tar"
fi
ls -l "$work"/v?.dump "$work/tree.tar"

ipsec_mb=
[ -f /usr/include/intel-ipsec-mb.h ] && ipsec_mb="-DYORE_HAVE_IPSEC_MB=1 -lIPSec_MB"
# shellcheck disable=SC2086
(cd "$root" && cc -O2 -g -std=gnu11 -D_GNU_SOURCE -I. -o "$work/frame_table" tests/bench/frame_table.c \
    writers/pipeline/cut.c writers/pipeline/cut_scan.c fetch/crypto/*.c fetch/base/*.c -lzstd -lcrypto -lpthread \
    ${ipsec_mb:--DYORE_HAVE_IPSEC_MB=0})
"$work/frame_table" stream "$work/v1.dump" "$work/v2.dump" "$work/v3.dump"
"$work/frame_table" tree "$work/tree.tar"
