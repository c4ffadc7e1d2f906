package bridge

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// BenchmarkHTTPVolume posts a volume to a hub and, in turn, to a bare handler that
// only decodes and encodes the same bodies: what lies between is the hub.
func BenchmarkHTTPVolume(b *testing.B) {
	h := newHouse(b, unpaced)
	hub := httptest.NewServer(NewHandler(HTTPConfig{Version: "bench", Hubs: []*Hub{h.hub}}))
	defer hub.Close()
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Volume int }
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(body, &in)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		out, _ := json.Marshal(Result{ID: newCommandID(), Command: "volume", Outcome: "done", Stamp: Stamp{Boot: "bench", Seq: 1, At: wall(time.Now())}})
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(append(out, '\n'))
	}))
	defer bare.Close()
	post := func(url string) time.Duration {
		began := time.Now()
		res, err := http.Post(url, "application/json", strings.NewReader(`{"volume":20}`))
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			b.Fatal(res.Status)
		}
		return time.Since(began)
	}
	var bares, hubs times
	for range 100 { // connections and caches
		post(bare.URL)
		post(hub.URL + "/hkw/home/volume")
	}
	for b.Loop() {
		for range rounds {
			bares = append(bares, post(bare.URL))
			hubs = append(hubs, post(hub.URL+"/hkw/home/volume"))
		}
	}
	b.ReportMetric(0, "ns/op")
	bares.report(b, "bare", time.Microsecond)
	hubs.report(b, "hub", time.Microsecond)
	b.ReportMetric(float64(hubs.at(0.5))/float64(bares.at(0.5)), "hub/bare")
}
