-- `admitted` of a line counts tickets, as the report does: one whose token lapsed and that came again is one.
UPDATE lines SET admitted = (SELECT count(DISTINCT ordinal) FROM admissions WHERE line_id = lines.id);
