package faults

import (
	"context"
	"encoding/json"
	"fmt"
)

// feedChange is the part of a change that a copy needs.
type feedChange struct {
	Client string          `json:"client_id"`
	App    *string         `json:"app_id"`
	Field  string          `json:"field"`
	Old    json.RawMessage `json:"old_value"`
	New    json.RawMessage `json:"new_value"`
}

// appCopy is a copy of all apps that is made from changes alone.
type appCopy struct {
	Name string

	apps     map[App]*state
	changes  int
	problems []string
}

func newAppCopy(name string) appCopy { return appCopy{Name: name, apps: map[App]*state{}} }

// apply applies a change to the copy. When its old value is not the value in the copy, an earlier change is missing, or this one came twice.
func (c *appCopy) apply(change feedChange) {
	c.changes++
	if change.App == nil {
		return
	}
	app := App{Client: change.Client, ID: *change.App}
	s := c.apps[app]
	if s == nil {
		s = &state{licenses: "null", favorite: "false", approved: "false"}
		c.apps[app] = s
	}
	value := map[string]*string{"license_count": &s.licenses, "is_favorite": &s.favorite, "is_approved": &s.approved}[change.Field]
	if value == nil {
		return // the app was added
	}
	if *value != string(change.Old) {
		c.problem("%v: %s changes from %s, but it was %s", app, change.Field, change.Old, *value)
	}
	*value = string(change.New)
}

func (c *appCopy) problem(format string, args ...any) {
	if len(c.problems) < 20 {
		c.problems = append(c.problems, c.Name+": "+fmt.Sprintf(format, args...))
	}
}

// Compare returns how many apps the copy has in another state than the database, and what was wrong on the way.
func (c *appCopy) Compare(ctx context.Context, fixture *Fixture) (differing int, problems []string, err error) {
	db, err := fixture.open()
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = db.Close() }()
	_, states, err := readHistory(ctx, db, &Comparison{})
	if err != nil {
		return 0, nil, err
	}
	problems = c.problems
	for app, want := range states {
		got := c.apps[app]
		if got == nil || got.licenses != want.licenses || got.favorite != want.favorite || got.approved != want.approved {
			differing++
			problems = append(problems, fmt.Sprintf("%s: %v is %+v in the copy, and %+v", c.Name, app, got, want))
		}
	}
	for app := range c.apps {
		if states[app] == nil {
			differing++
			problems = append(problems, fmt.Sprintf("%s: %v is in the copy alone", c.Name, app))
		}
	}
	return differing, problems, nil
}
