package store

import (
	"context"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// sqliteApps is the appTable of SQLite. gorm does all of it.
type sqliteApps struct{ s *Store }

func (*sqliteApps) writers() int { return 1 } // there is one connection to write with

func (t *sqliteApps) take(ctx context.Context, key AppKey) (app App, err error) {
	err = t.s.tenant(ctx, key.ClientID).Select(appColumns).Where("id = ?", key.ID).Take(&app).Error
	return app, err
}

func (*sqliteApps) find(_ uuid.UUID, q *gorm.DB, apps *[]App, _ *int64) error {
	return q.Select(appColumns).Find(apps).Error
}

// write writes a batch in one transaction. A statement that fails does not affect the others.
func (t *sqliteApps) write(batch []*appPatch) {
	s := t.s
	if len(batch) == 1 {
		p := batch[0]
		if p.update(s, s.write.WithContext(p.Ctx)); mayHaveCommitted(p.Err) {
			p.Err = &inDoubtError{fence: s.db.Fence(nil), cause: p.Err} // also when its time was up before it had the connection
		}
		return
	}
	ctx, cancel := s.bounded(context.Background()) // no caller's own deadline can bound what they share
	defer cancel()
	ctx, span := s.traceBatch(ctx, batch)
	defer span.End()
	err := s.tryTx(ctx, shareKey{}, func(tx *gorm.DB) error {
		for _, p := range batch {
			p.update(s, tx)
		}
		return nil
	})
	if err != nil {
		for _, p := range batch {
			p.Err = err
		}
	}
}
