package chaos

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/core/redisstore"
)

// Bugs that a witness plants by itself; others are planted in the scripts.
const (
	plantGrace = "grace" // leases are reaped right after an outage of the store
	plantAck   = "ack"   // submits are acknowledged before they are written
	plantSlow  = "slow"  // no bug: renewals come a while after the store is back, also with plantGrace
)

// witness notes in a file what the store granted a dispatcher and what it settled:
// epochs and claim ids are nobody else's to see. A line is in the file before the
// store is asked to settle, so that a kill hides nothing.
type witness struct {
	*redisstore.Store
	role storeRole
	file *os.File

	renewed time.Time // the last time; owned by the dispatcher's settler
}

func newWitness(store *redisstore.Store, role storeRole) (*witness, error) {
	file, err := os.OpenFile(role.Witness, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return &witness{Store: store, role: role, file: file}, err
}

// testimony is one line of the file.
type testimony struct {
	Kind string // granted, asked or told
	core.Lease
	At      time.Time
	State   core.State   `json:",omitzero"`
	Name    string       `json:",omitzero"`
	Verdict core.Verdict `json:",omitzero"`
}

// note writes lines at once, so that those of several processes do not mix.
func (w *witness) note(lines []testimony) error {
	var text bytes.Buffer
	out := json.NewEncoder(&text)
	for _, line := range lines {
		if err := out.Encode(line); err != nil {
			return err
		}
	}
	_, err := w.file.Write(text.Bytes())
	return err
}

func (w *witness) Claim(ctx context.Context, request core.ClaimRequest) ([]core.Claimed, error) {
	claimed, err := w.Store.Claim(ctx, request)
	lines := make([]testimony, len(claimed))
	for i, c := range claimed {
		lines[i] = testimony{Kind: "granted", Lease: c.Lease, At: time.Now()}
	}
	if err := w.note(lines); err != nil {
		return nil, err
	}
	return claimed, err
}

func (w *witness) Settle(ctx context.Context, batch []core.Settlement) ([]core.Verdict, error) {
	lines := make([]testimony, len(batch))
	for i, s := range batch {
		lines[i] = testimony{Kind: "asked", Lease: s.Lease, At: time.Now(), State: s.State, Name: nameOf(s.Result)}
	}
	if err := w.note(lines); err != nil {
		return nil, err
	}
	verdicts, err := w.Store.Settle(ctx, batch)
	for i, v := range verdicts {
		lines[i].Kind, lines[i].Verdict, lines[i].At = "told", v, time.Now()
	}
	if err == nil {
		err = w.note(lines)
	}
	return verdicts, err
}

func (w *witness) Reap(ctx context.Context, grace time.Duration) (int, error) {
	if w.role.Planted == plantGrace {
		grace = 0
	}
	return w.Store.Reap(ctx, grace)
}

// Renew of a slow dispatcher asks first whether the store is there: what is sent to
// one that stands still is carried out when it goes on, perhaps before a reap. It
// waits only after an outage.
func (w *witness) Renew(ctx context.Context, batch []core.Renewal, lease time.Duration) ([]core.Verdict, error) {
	if w.role.Planted == plantGrace || w.role.Planted == plantSlow {
		if err := w.Ping(ctx); err != nil {
			return nil, err
		}
		if !w.renewed.IsZero() && time.Since(w.renewed) > 2*time.Second {
			pass(3 * short.Reap)
		}
		w.renewed = time.Now()
	}
	return w.Store.Renew(ctx, batch, lease)
}

func (w *witness) Submit(ctx context.Context, batch []core.Submission) ([]error, error) {
	if w.role.Planted != plantAck {
		return w.Store.Submit(ctx, batch)
	}
	batch = slices.Clone(batch)
	time.AfterFunc(3*time.Second, func() { _, _ = w.Store.Submit(context.WithoutCancel(ctx), batch) })
	return make([]error, len(batch)), nil
}

// nameOf reads the name of an execution out of its result.
func nameOf(r core.Result) (name string) {
	_ = json.Unmarshal(r.JSON, &name) // "" is no execution's
	return name
}

// testimonies reads what all witnesses of a run have noted.
func testimonies(t testing.TB, dir string) (grants []Grant, verdicts []Verdict) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.witness"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var line testimony
			if json.Unmarshal(lines.Bytes(), &line) != nil {
				continue // it was being written when its process was killed
			}
			switch line.Kind {
			case "granted":
				grants = append(grants, Grant{line.Lease, line.At})
			case "asked", "told":
				verdicts = append(verdicts, Verdict{line.Lease, line.State, line.Name, line.Verdict})
			}
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
		_ = file.Close()
	}
	return grants, verdicts
}
