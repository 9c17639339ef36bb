-- `admitted` of a line counts tickets, as the report does: one whose token lapsed and that came again is one.
UPDATE lines SET admitted = counted.tickets
    FROM (SELECT line_id, count(DISTINCT ordinal) AS tickets FROM admissions GROUP BY line_id) AS counted
    WHERE counted.line_id = lines.id AND admitted <> counted.tickets;
