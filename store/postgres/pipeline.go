package postgres

import (
	"cmp"
	"context"
	"io"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Transaction is statements that are committed together.
type Transaction []Statement

// Statement is a statement with its parameters. Read reads its rows and closes them; nil if nobody needs them.
type Statement struct {
	SQL  string
	Args []any
	Read func(pgx.Rows) error
}

// SendTransactions sends transactions in one round trip. PostgreSQL commits each by itself, and goes on with the next when it refuses
// one. done is called with the outcome of each, in their order, as soon as it is known. An error of SendTransactions means that the
// connection failed: the transactions that are not done may have been committed, unless none was sent.
func SendTransactions(ctx context.Context, conn *pgx.Conn, transactions []Transaction, done func(n int, err error)) (err error) {
	prepared, err := prepare(ctx, conn, transactions)
	if err != nil {
		return err
	}
	ctx, traced := traceTransactions(ctx, conn, transactions)
	defer func() { traced(err) }()
	pipeline := conn.PgConn().StartPipeline(ctx)
	stale := false
	defer func() {
		_ = pipeline.Close() // its error has been returned already, or concerns nobody
		if stale {
			_ = conn.DeallocateAll(ctx) // the pool discards a connection that cannot even do this
		}
	}()
	if err := queueTransactions(pipeline, conn, transactions, prepared); err != nil {
		return err
	}
	for n, transaction := range transactions {
		refused, err := readTransaction(pipeline, conn, transaction)
		if err != nil {
			return err
		}
		stale = stale || Transient(refused)
		done(n, refused)
	}
	return nil
}

// prepare returns the prepared statements of the transactions, or nil for a connection that prepares none: behind a pooler.
func prepare(ctx context.Context, conn *pgx.Conn, transactions []Transaction) (map[string]*pgconn.StatementDescription, error) {
	if conn.Config().DefaultQueryExecMode != pgx.QueryExecModeCacheStatement {
		return nil, nil //nolint:nilnil // as the comment says
	}
	prepared := map[string]*pgconn.StatementDescription{}
	for _, transaction := range transactions {
		for _, s := range transaction {
			if prepared[s.SQL] != nil {
				continue
			}
			description, err := conn.Prepare(ctx, s.SQL, s.SQL)
			if err != nil {
				return nil, err
			}
			prepared[s.SQL] = description
		}
	}
	return prepared, nil
}

// queueTransactions writes all transactions to the connection. Each ends with a Sync, which commits it.
func queueTransactions(p *pgconn.Pipeline, conn *pgx.Conn, transactions []Transaction, prepared map[string]*pgconn.StatementDescription) error {
	var values pgx.ExtendedQueryBuilder
	// pgx 5.12 loses count of the known results when an error skips statements and others follow: then each result describes itself.
	skips := len(transactions) > 1 && slices.ContainsFunc(transactions, func(t Transaction) bool { return len(t) > 1 })
	for _, transaction := range transactions {
		for _, s := range transaction {
			description := prepared[s.SQL]
			if err := values.Build(conn.TypeMap(), description, s.Args); err != nil {
				return err
			}
			switch {
			case description == nil:
				p.SendQueryParams(s.SQL, values.ParamValues, nil, values.ParamFormats, values.ResultFormats)
			case skips:
				p.SendQueryPrepared(description.Name, values.ParamValues, values.ParamFormats, values.ResultFormats)
			default: // the pipeline keeps the formats of the results until they come
				p.SendQueryStatement(description, values.ParamValues, values.ParamFormats, slices.Clone(values.ResultFormats))
			}
		}
		p.SendPipelineSync()
	}
	return p.Flush()
}

// readTransaction reads the results of one transaction, up to its Sync. refused is why it was rolled back. With err, the connection has
// failed.
func readTransaction(p *pgconn.Pipeline, conn *pgx.Conn, transaction Transaction) (refused, err error) {
	for n := 0; ; {
		result, err := p.GetResults()
		switch result := result.(type) {
		case *pgconn.PipelineSync:
			return refused, nil
		case *pgconn.ResultReader:
			err = readStatement(conn, result, transaction[n])
			n++
		case nil:
			err = cmp.Or(err, io.ErrUnexpectedEOF)
		}
		if conn.IsClosed() {
			return nil, err
		}
		if err != nil {
			refused = err // what follows it is skipped, up to the Sync
		}
	}
}

func readStatement(conn *pgx.Conn, result *pgconn.ResultReader, s Statement) error {
	if s.Read != nil {
		return s.Read(pgx.RowsFromResultReader(conn.TypeMap(), result))
	}
	_, err := result.Close()
	return err
}

// traceTransactions reports the statements to the tracer of the connection, as pgx itself does for its batches.
func traceTransactions(ctx context.Context, conn *pgx.Conn, transactions []Transaction) (context.Context, func(error)) {
	tracer, ok := conn.Config().Tracer.(pgx.BatchTracer)
	if !ok {
		return ctx, func(error) {}
	}
	batch := &pgx.Batch{}
	for _, transaction := range transactions {
		for _, s := range transaction {
			batch.Queue(s.SQL)
		}
	}
	ctx = tracer.TraceBatchStart(ctx, conn, pgx.TraceBatchStartData{Batch: batch})
	for _, query := range batch.QueuedQueries {
		tracer.TraceBatchQuery(ctx, conn, pgx.TraceBatchQueryData{SQL: query.SQL})
	}
	return ctx, func(err error) { tracer.TraceBatchEnd(ctx, conn, pgx.TraceBatchEndData{Err: err}) }
}
