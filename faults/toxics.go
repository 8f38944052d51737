package faults

import "time"

// Toxic is a network fault between a server and its database.
type Toxic struct {
	Name     string
	Apply    func(*Proxy) error
	Duration time.Duration
}

// Toxics returns the network faults of a run. Some last longer than a server waits for its database, some shorter.
func Toxics() []Toxic {
	add := func(kind, stream string, attributes map[string]int) func(*Proxy) error {
		return func(p *Proxy) error { return p.Add(kind, stream, attributes) }
	}
	short, long := DatabaseTimeout/4, DatabaseTimeout+DatabaseTimeout/4
	return []Toxic{
		{"refused", func(p *Proxy) error { p.Refuse(); return nil }, short},
		{"reset", add("reset_peer", "downstream", map[string]int{"timeout": 0}), short},
		{"answers lost", add("limit_data", "downstream", map[string]int{"bytes": 3000}), short},
		{"requests lost", add("limit_data", "upstream", map[string]int{"bytes": 3000}), short},
		{"silent", add("timeout", "upstream", map[string]int{"timeout": 0}), long},
		{"answers silent", add("timeout", "downstream", map[string]int{"timeout": 0}), long},
		{"slow", add("latency", "downstream", map[string]int{"latency": 100, "jitter": 50}), short},
		{"delayed", add("latency", "upstream", map[string]int{"latency": int(long.Milliseconds())}), long},
		{"sliced", add("slicer", "downstream", map[string]int{"average_size": 64, "size_variation": 32, "delay": 500}), short},
	}
}
