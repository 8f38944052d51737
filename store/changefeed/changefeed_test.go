package changefeed_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store/changefeed"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	for _, k := range []changefeed.Key{
		changefeed.Before(0), changefeed.Before(1 << 60),
		{Position: 7, ClientID: uuid.New(), AppID: uuid.New(), Version: 3, Field: "is_favorite"},
		{Position: 7, Version: 1},
	} {
		if got, err := changefeed.Parse(k.String()); err != nil || got != k {
			t.Errorf("%s is %+v, %v; want %+v", k, got, err, k)
		}
	}
	low := changefeed.Key{Position: 7, Field: "a"}
	for _, high := range []changefeed.Key{
		changefeed.Before(8),
		{Position: 7, ClientID: uuid.New()},
		{Position: 7, AppID: uuid.New()},
		{Position: 7, Version: 1},
		{Position: 7, Field: "b"},
	} {
		if low.Compare(high) >= 0 || high.Compare(low) <= 0 {
			t.Errorf("%v and %v are in the wrong order", low, high)
		}
	}
}

// TestHub publishes ranges of a feed at random, with breaks, and asks at random: what the hub says it knows is what lies behind the key.
func TestHub(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	const size = 16
	hub := changefeed.NewHub[int](size)
	var all []int // positions that have an item
	end := int64(1)
	for range 5000 {
		switch random.IntN(20) {
		case 0:
			hub.Reset()
		case 1: // a range that nobody reads
			for range random.IntN(5) {
				all = append(all, int(end))
				end++
			}
		default:
			var items []changefeed.Item[int]
			from := end
			for range random.IntN(6) {
				if random.IntN(3) > 0 {
					all = append(all, int(end))
					items = append(items, changefeed.Item[int]{Key: changefeed.Key{Position: end, Version: 1}, Value: int(end)})
				}
				end++
			}
			hub.Publish(changefeed.Before(from), items, changefeed.Before(end))
		}
		k := random.Int64N(end + 2)
		items, next, _, known := hub.After(changefeed.Before(k))
		if !known {
			continue
		}
		var got, want []int
		for _, item := range items {
			got = append(got, item.Value)
		}
		for _, position := range all {
			if int64(position) >= k && changefeed.Before(int64(position)).Compare(next) < 0 {
				want = append(want, position)
			}
		}
		if !slices.Equal(got, want) || len(got) > size {
			t.Fatalf("after %d, up to %v: %v, want %v", k, next, got, want)
		}
	}
}

// A follower that waits is woken by a change and not by the end alone.
func TestHubWakes(t *testing.T) {
	t.Parallel()
	hub := changefeed.NewHub[int](4)
	hub.Publish(changefeed.Before(1), nil, changefeed.Before(5))
	_, _, more, known := hub.After(changefeed.Before(5))
	hub.Publish(changefeed.Before(5), nil, changefeed.Before(6))
	select {
	case <-more:
		t.Error("it was woken without a change")
	default:
	}
	hub.Publish(changefeed.Before(6), []changefeed.Item[int]{{Key: changefeed.Key{Position: 6, Version: 1}}}, changefeed.Before(7))
	select {
	case <-more:
	default:
		t.Error("it was not woken by a change")
	}
	if !known {
		t.Error("the end is not known")
	}
	leave := hub.Join()
	if hub.Followers() != 1 {
		t.Error("nobody follows")
	}
	leave()
	if _, ok := <-hub.Joined(); !ok || hub.Followers() != 0 {
		t.Error("nobody has come and gone")
	}
}

func TestLag(t *testing.T) {
	t.Parallel()
	var lag changefeed.Lag
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	for _, c := range []struct {
		second       int
		horizon, end int64
		want         time.Duration
	}{
		{0, 5, 5, 0}, {10, 5, 6, 0}, {20, 5, 9, 10 * time.Second}, {80, 5, 50, 70 * time.Second}, {90, 40, 50, 0}, {95, 40, 60, 5 * time.Second}, {99, 60, 60, 0},
	} {
		lag.Observe(changefeed.State{Horizon: c.horizon, End: c.end}, at(c.second))
		if got := lag.At(at(c.second)); got != c.want {
			t.Errorf("at second %d the lag is %s, want %s", c.second, got, c.want)
		}
	}
	lag.Observe(changefeed.State{Horizon: 60, End: 61}, at(100))
	for second, want := range map[int]bool{130: false} {
		if lag.ShouldWarn(time.Minute, at(second)) != want {
			t.Errorf("warns at second %d", second)
		}
	}
	if !lag.ShouldWarn(time.Minute, at(161)) || lag.ShouldWarn(time.Minute, at(170)) || !lag.ShouldWarn(time.Minute, at(222)) {
		t.Error("it does not warn once a minute")
	}
}

func TestCatalogKeys(t *testing.T) {
	t.Parallel()
	id := uuid.New()
	low := changefeed.CatalogKey{Revision: 7, Entity: "category", EntityID: id, Field: "name"}
	for _, k := range []changefeed.CatalogKey{changefeed.BeforeRevision(0), changefeed.BeforeRevision(1 << 62), low} {
		if got, err := changefeed.ParseCatalogKey(k.String()); err != nil || got != k {
			t.Errorf("%s is %+v, %v; want %+v", k, got, err, k)
		}
	}
	for _, high := range []changefeed.CatalogKey{
		changefeed.BeforeRevision(8),
		{Revision: 7, Entity: "vendor"},
		{Revision: 7, Entity: "category", EntityID: uuid.Max},
		{Revision: 7, Entity: "category", EntityID: id, Field: "name_key"},
	} {
		if low.Compare(high) >= 0 || high.Compare(low) <= 0 {
			t.Errorf("%v and %v are in the wrong order", low, high)
		}
	}
}
