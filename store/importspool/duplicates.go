package importspool

import "context"

// Problem is a row that contradicts an earlier one.
type Problem struct {
	Line    int
	Text    string
	Earlier int // the line that it contradicts
}

// Duplicates returns the rows that have the key of an earlier row, the first limit of them in the order of lines, and their total number.
func (s *Spool[T]) Duplicates(ctx context.Context, limit int) (found []Problem, total int, err error) {
	return s.problems(ctx, limit, `SELECT line, text, earlier FROM (
		SELECT line, text, min(line) OVER (PARTITION BY key) AS earlier FROM spool) WHERE line > earlier`)
}

// Contradictions returns the rows whose value differs from that of the first row of their group, the first limit of them in the order of
// lines, and their total number.
func (s *Spool[T]) Contradictions(ctx context.Context, limit int) (found []Problem, total int, err error) {
	return s.problems(ctx, limit, `SELECT line, text, earlier FROM (
		SELECT line, text, value, first_value(value) OVER same AS first, first_value(line) OVER same AS earlier
		FROM spool WHERE value IS NOT NULL WINDOW same AS (PARTITION BY grp ORDER BY line)) WHERE value <> first`)
}

func (s *Spool[T]) problems(ctx context.Context, limit int, query string) (found []Problem, total int, err error) {
	rows, err := s.db.QueryContext(ctx, "SELECT line, text, earlier, count(*) OVER () FROM ("+query+") ORDER BY line LIMIT ?", limit) //nolint:gosec // one of the two above
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var p Problem
		if err := rows.Scan(&p.Line, &p.Text, &p.Earlier, &total); err != nil {
			return nil, 0, err
		}
		found = append(found, p)
	}
	return found, total, rows.Err()
}
