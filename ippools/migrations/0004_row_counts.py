from django.db import migrations

# A change takes what earlier changes of its table left, adds its own number, and leaves one row with the sum. It passes over
# what other transactions are at, so none waits for another, and a table has about as many rows here as transactions write it.
KEEP = """
CREATE TABLE ippools_rowcount (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name text NOT NULL,
    number bigint NOT NULL
);
CREATE INDEX ippools_rowcount_table ON ippools_rowcount (table_name);
CREATE FUNCTION ippools_rowcount_add() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    added bigint;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM ippools_rowcount WHERE table_name = TG_TABLE_NAME;
        RETURN NULL;
    END IF;
    SELECT CASE TG_OP WHEN 'INSERT' THEN count(*) ELSE -count(*) END INTO added FROM changed;
    WITH free AS MATERIALIZED (
        SELECT id FROM ippools_rowcount WHERE table_name = TG_TABLE_NAME FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM ippools_rowcount WHERE id IN (SELECT id FROM free) RETURNING number
    )
    INSERT INTO ippools_rowcount (table_name, number) SELECT TG_TABLE_NAME, added + coalesce(sum(number), 0) FROM gone;
    RETURN NULL;
END $$;
"""
# The triggers first: they wait for those who write the table, and keep them away until the first count is committed.
KEEP_OF = """
CREATE TRIGGER {table}_inserted AFTER INSERT ON {table} REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION ippools_rowcount_add();
CREATE TRIGGER {table}_deleted AFTER DELETE ON {table} REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION ippools_rowcount_add();
CREATE TRIGGER {table}_truncated AFTER TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION ippools_rowcount_add();
INSERT INTO ippools_rowcount (table_name, number) SELECT '{table}', count(*) FROM {table};
"""
LEAVE_OF = "".join(f"DROP TRIGGER {{table}}_{what} ON {{table}};\n" for what in ("inserted", "deleted", "truncated"))
LEAVE = "DROP FUNCTION ippools_rowcount_add(); DROP TABLE ippools_rowcount;"
TABLES = ("ippools_virtualmta", "ippools_ipaddress")


def on_postgresql(*statements):
    def run(apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            for sql in statements:
                schema_editor.execute(sql)

    return run


class Migration(migrations.Migration):
    dependencies = [("ippools", "0003_one_blank")]

    operations = [
        migrations.RunPython(
            on_postgresql(KEEP, *(KEEP_OF.format(table=each) for each in TABLES)),
            on_postgresql(*(LEAVE_OF.format(table=each) for each in TABLES), LEAVE),
        )
    ]
