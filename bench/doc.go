// Command bench compares the server with alternatives, in interleaved slices of one run:
//
//	options.go     what to run
//	harness.go     builds, databases with data, processes: all on loopback, all removed afterwards
//	contenders.go  what is compared; ours.go, variants.go, webhooks.go and sqlite.go have parts that some contenders need
//	workloads.go   the loads; unchanged.go has those that change nothing
//	equal.go       checks that all contenders give the same answers, before anything is timed
//	rounds.go      runs the slices in turn, and measures their resources
//	results.go     the tables and the file; aims.go compares them with the goals
//	profile.go     writes a CPU profile for the compiler instead. It has no addresses of code, but functions and lines: go tool pprof
//	               -top -lines FILE needs no program
//
//	dataset/       the data                    machine/  processes, CPU, PostgreSQL
//	load/          wrk, vegeta, pgbench        report/   medians, ratios, tables
//	overlay/       the server with changes     handwritten/  a server with net/http and pgx
//	fastify/       Node.js                     pocketbase/   PocketBase
package main
