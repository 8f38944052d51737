package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clientapps/clientapps/store"
)

// storeCollector collects the store's current numbers.
type storeCollector struct {
	stats    func() store.Stats
	outcomes []string // of attempts to deliver
}

func storeDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("clientapps_"+name, help, labels, nil)
}

var (
	poolMax      = storeDesc("db_connections_max", "Database connections that the pool may open.", "pool")
	poolOpen     = storeDesc("db_connections", "Open database connections, by what they do.", "pool", "state")
	poolWaits    = storeDesc("db_connection_waits_total", "Statements that had to wait for a database connection.", "pool")
	poolWaitTime = storeDesc("db_connection_wait_seconds_total", "Time that statements waited for a database connection.", "pool")

	catalogApps     = storeDesc("catalog_apps", "Apps in the catalog that is kept in memory.")
	catalogRevision = storeDesc("catalog_revision", "Revision of the catalog that is kept in memory.")
	catalogLoaded   = storeDesc("catalog_loaded_timestamp_seconds", "When the catalog in memory was read or brought up to date.")
	catalogChecked  = storeDesc("catalog_checked_timestamp_seconds", "When the catalog in memory was last known to be the newest.")
	catalogLoads    = storeDesc("catalog_loads_total", "How often the catalog in memory was read or brought up to date.")
	catalogFailures = storeDesc("catalog_failures_total", "How often the database did not say whether the catalog has changed.")

	tokenEntries    = storeDesc("token_cache_entries", "Tokens that are remembered, about.")
	tokenLookups    = storeDesc("token_cache_lookups_total", "Tokens looked up in the cache, by result.", "result")
	tokenStatements = storeDesc("token_statements_total", "Statements that looked up tokens, each as many as waited.")
	tokenRefused    = storeDesc("tokens_refused_total", "Requests whose token found too many waiting to be looked up.")

	patchQueue     = storeDesc("patch_queue_length", "Patches of apps that no transaction has taken yet.")
	patchInFlight  = storeDesc("patch_batches_in_flight", "Transactions with patches of apps under way.")
	patchRefused   = storeDesc("patches_refused_total", "Patches of apps that found too many waiting.")
	patchBatchSize = storeDesc("patch_batch_size", "Patches of apps that a transaction took.")

	readQueue     = storeDesc("read_queue_length", "Reads of single apps that no statement has taken yet.")
	readInFlight  = storeDesc("read_batches_in_flight", "Statements that read single apps under way.")
	readRefused   = storeDesc("reads_refused_total", "Reads of single apps that found too many waiting.")
	readBatchSize = storeDesc("read_batch_size", "Reads of single apps that a statement took.")

	shareWaiting    = storeDesc("client_share_waiting", "Writes that wait for their client's share of the connections.")
	shareWaits      = storeDesc("client_share_waits_total", "Writes that had to wait for their client's share of the connections.")
	shareWaitTime   = storeDesc("client_share_wait_seconds_total", "Time that writes waited for their client's share of the connections.")
	changeStreams   = storeDesc("change_streams", "Streams of changes that are open.")
	changeEvents    = storeDesc("change_events_total", "Changes that streams have got.")
	changeLag       = storeDesc("change_feed_lag_seconds", "For how long the change feed has stood still behind a transaction that does not end.")
	historyChanges  = storeDesc("history_changes", "Changes of apps and clients that are kept, about.")
	webhooks        = storeDesc("webhooks", "Webhooks of all clients, by status.", "status")
	webhookLag      = storeDesc("webhook_lag_seconds", "Since when the oldest change waits for a webhook that is not disabled.")
	webhookAttempts = storeDesc("webhook_attempts_total", "Attempts to deliver, by outcome.", "outcome")
	lockTimeouts    = storeDesc("db_lock_timeouts_total", "Waits for locks of the database that came to their bound, by what waited.", "path")
)

// Describe implements prometheus.Collector.
func (storeCollector) Describe(into chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		poolMax, poolOpen, poolWaits, poolWaitTime,
		catalogApps, catalogRevision, catalogLoaded, catalogChecked, catalogLoads, catalogFailures,
		tokenEntries, tokenLookups, tokenStatements, tokenRefused,
		patchQueue, patchInFlight, patchRefused, patchBatchSize,
		readQueue, readInFlight, readRefused, readBatchSize,
		shareWaiting, shareWaits, shareWaitTime, lockTimeouts,
		changeStreams, changeEvents, changeLag, historyChanges,
		webhooks, webhookLag, webhookAttempts,
	} {
		into <- desc
	}
}

// Collect implements prometheus.Collector.
func (c storeCollector) Collect(into chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, v float64, labels ...string) {
		into <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
	counter := func(desc *prometheus.Desc, v float64, labels ...string) {
		into <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, v, labels...)
	}
	stats := c.stats()
	for _, pool := range stats.Pools {
		gauge(poolMax, float64(pool.Max), pool.Name)
		gauge(poolOpen, float64(pool.InUse), pool.Name, "in_use")
		gauge(poolOpen, float64(pool.Idle), pool.Name, "idle")
		counter(poolWaits, float64(pool.Waits), pool.Name)
		counter(poolWaitTime, pool.Waiting.Seconds(), pool.Name)
	}
	if catalog := stats.Catalog; catalog.Loads > 0 {
		gauge(catalogApps, float64(catalog.Apps))
		gauge(catalogRevision, float64(catalog.Revision))
		gauge(catalogLoaded, unixSeconds(catalog.LoadedAt))
		gauge(catalogChecked, unixSeconds(catalog.CheckedAt))
	}
	counter(catalogLoads, float64(stats.Catalog.Loads))
	counter(catalogFailures, float64(stats.Catalog.Failures))
	gauge(tokenEntries, float64(stats.Tokens.Entries))
	counter(tokenLookups, float64(stats.Tokens.Hits), "hit")
	counter(tokenLookups, float64(stats.Tokens.Misses), "miss")
	counter(tokenStatements, float64(stats.Tokens.Statements))
	counter(tokenRefused, float64(stats.Tokens.Refused))
	gauge(patchQueue, float64(stats.Patches.Queued))
	gauge(patchInFlight, float64(stats.Patches.InFlight))
	counter(patchRefused, float64(stats.Patches.Refused))
	into <- batchSizes(patchBatchSize, stats.Patches)
	gauge(readQueue, float64(stats.Reads.Queued))
	gauge(readInFlight, float64(stats.Reads.InFlight))
	counter(readRefused, float64(stats.Reads.Refused))
	into <- batchSizes(readBatchSize, stats.Reads)
	gauge(shareWaiting, float64(stats.Shares.Waiting))
	counter(shareWaits, float64(stats.Shares.Waits))
	counter(shareWaitTime, stats.Shares.WaitTime.Seconds())
	gauge(changeStreams, float64(stats.Changes.Streams))
	counter(changeEvents, float64(stats.Changes.Sent))
	gauge(changeLag, stats.Changes.Lag.Seconds())
	gauge(historyChanges, float64(stats.Changes.Kept))
	gauge(webhooks, float64(stats.Webhooks.Active), store.WebhookActive)
	gauge(webhooks, float64(stats.Webhooks.Failing), store.WebhookFailing)
	gauge(webhooks, float64(stats.Webhooks.Disabled), store.WebhookDisabled)
	gauge(webhookLag, stats.Webhooks.Lag.Seconds())
	for _, outcome := range c.outcomes {
		counter(webhookAttempts, float64(stats.Webhooks.Attempts[outcome]), outcome)
	}
	for path, n := range stats.LockTimeouts {
		counter(lockTimeouts, float64(n), path)
	}
}

// batchSizes is a histogram whose bounds are the powers of two.
func batchSizes(desc *prometheus.Desc, stats store.BatchStats) prometheus.Metric {
	count, buckets := uint64(0), map[float64]uint64{}
	for i, n := range stats.Batches {
		count += n
		buckets[float64(int(1)<<i)] = count
	}
	return prometheus.MustNewConstHistogram(desc, count, float64(stats.Served), buckets)
}

func unixSeconds(at time.Time) float64 { return float64(at.UnixMilli()) / 1000 }
