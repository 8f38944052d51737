package etag_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store/etag"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	fails, failsNoneMatch := &etag.PreconditionError{}, &etag.PreconditionError{NoneMatch: true}
	for name, c := range map[string]struct {
		match *etag.Match
		want  *etag.PreconditionError // for the tag "2"
	}{
		"no condition":                        {nil, nil},
		"zero value":                          {&etag.Match{}, fails},
		"the tag":                             {&etag.Match{Tags: []string{"2"}}, nil},
		"one of the tags":                     {&etag.Match{Tags: []string{"1", "2"}}, nil},
		"another tag":                         {&etag.Match{Tags: []string{"1", "22", ""}}, fails},
		"any tag":                             {&etag.Match{Any: true}, nil},
		"any tag but another":                 {&etag.Match{Any: true, NoneOf: []string{"1"}}, nil},
		"any tag but this":                    {&etag.Match{Any: true, NoneOf: []string{"1", "2"}}, failsNoneMatch},
		"must not exist":                      {&etag.Match{Any: true, MustNotExist: true}, failsNoneMatch},
		"the tag, which is excepted":          {&etag.Match{Tags: []string{"2"}, NoneOf: []string{"2"}}, failsNoneMatch},
		"another tag, and this one excepted":  {&etag.Match{Tags: []string{"1"}, NoneOf: []string{"2"}}, fails},
		"another tag, and it must not exist":  {&etag.Match{Tags: []string{"1"}, MustNotExist: true}, fails},
		"the tag, although it must not exist": {&etag.Match{Tags: []string{"2"}, MustNotExist: true}, failsNoneMatch},
	} {
		err := c.match.Check(etag.OfVersion(2))
		got := (*etag.PreconditionError)(nil)
		if errors.As(err, &got) != (err != nil) || (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
			t.Errorf("%s: error is %#v, want %#v", name, err, c.want)
		}
	}
}

// The tag of a row changes with its id, its version and its time, which has whole milliseconds.
func TestTagsOfStates(t *testing.T) {
	t.Parallel()
	first, second := uuid.MustParse("f1a2b3c4-d5e6-7890-abcd-ef1234567890"), uuid.MustParse("b2a2b3c4-d5e6-7890-abcd-ef1234567890")
	now := time.Date(2026, 2, 24, 15, 0, 0, 0, time.UTC)
	tag := func(id uuid.UUID, version int64, updated time.Time) string {
		return etag.OfText(etag.AppendState(nil, id, version, updated))
	}
	have := tag(first, 1, now)
	if same := tag(first, 1, now.In(time.FixedZone("", 3600)).Add(time.Microsecond)); same != have || len(have) != 32 {
		t.Errorf("one state has the tags %s and %s", have, same)
	}
	for what, other := range map[string]string{
		"id": tag(second, 1, now), "version": tag(first, 2, now), "time": tag(first, 1, now.Add(time.Millisecond)),
		"prefix": etag.OfText(etag.AppendState([]byte("x"), first, 1, now)),
	} {
		if other == have {
			t.Errorf("another %s has the same tag", what)
		}
	}
}
