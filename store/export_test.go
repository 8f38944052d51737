package store

import "gorm.io/gorm"

// OnStatement has seen told of every statement that gorm sends, after it, with the connection that it went to.
func OnStatement(s *Store, seen func(*gorm.Statement)) error {
	for _, db := range []*gorm.DB{s.write, s.read} {
		tell := func(tx *gorm.DB) {
			if tx.Statement.SQL.Len() > 0 && !tx.DryRun {
				seen(tx.Statement)
			}
		}
		on := db.Callback()
		for _, register := range []func(string, func(*gorm.DB)) error{
			on.Create().After("*").Register, on.Query().After("*").Register, on.Update().After("*").Register,
			on.Delete().After("*").Register, on.Row().After("*").Register, on.Raw().After("*").Register,
		} {
			if err := register("test:statement", tell); err != nil {
				return err
			}
		}
	}
	return nil
}
