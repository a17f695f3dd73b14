package zmqloop

import (
	"context"
	"errors"
	"testing"
	"time"

	"faasctl/core"
)

// BenchmarkMessages sends small messages of three frames from a DEALER to a ROUTER,
// as fast as they go.
func BenchmarkMessages(b *testing.B) {
	address := make(chan string, 1)
	done := make(chan struct{})
	got := 0
	frames := [][]byte{{3, 1}, []byte(`["w-0123456789ab",1,[]]`), {}}
	var dealer *Socket
	sent := 0
	wakes := 0
	server := &player{
		open: func(l *Loop) error {
			s, err := l.Router("tcp://127.0.0.1:*")
			if err == nil {
				var at string
				at, err = s.Address()
				address <- at
			}
			return err
		},
		receive: func(*Socket, Message) {
			if got++; got == b.N {
				close(done)
			}
		},
		work: func() error { wakes++; return nil },
	}
	client := &player{
		open: func(l *Loop) (err error) { dealer, err = l.Dealer(<-address); return err },
	}
	client.work = func() error {
		for range 4096 {
			if sent == b.N {
				return nil
			}
			err := dealer.Send("", frames)
			if errors.Is(err, core.ErrFull) {
				return nil
			}
			if err != nil {
				return err
			}
			sent++
		}
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	b.ResetTimer()
	for _, p := range []*player{server, client} {
		loop, err := New(Config{Owner: busy{p}})
		if err != nil {
			b.Fatal(err)
		}
		go func() { ended <- loop.Run(ctx) }()
	}
	<-done
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	b.ReportMetric(float64(b.N)/float64(wakes), "messages/wake")
	cancel()
	for range 2 {
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}
}

// busy is called again at once.
type busy struct{ *player }

func (o busy) Work(now time.Time) (time.Time, error) {
	_, err := o.player.Work(now)
	return now, err
}
