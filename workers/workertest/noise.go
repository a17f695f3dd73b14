package workertest

import (
	"errors"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/pebbe/zmq4"
)

// Noise sends random multiparts: some have the form of messages, some almost.
func Noise(t testing.TB, address string, envelope bool, n int, seed uint64) {
	s, err := zmq4.NewSocket(zmq4.DEALER)
	if err == nil {
		defer s.Close()
		err = errors.Join(s.SetLinger(0), s.SetSndtimeo(time.Second), s.Connect(address))
	}
	if err != nil {
		t.Errorf("noise: %v", err)
		return
	}
	r := rand.New(rand.NewPCG(seed, 1))
	some := func(most int) []byte {
		bytes := make([]byte, r.IntN(most))
		for i := range bytes {
			bytes[i] = byte(r.Uint32())
		}
		return bytes
	}
	headers := []string{`["w-x",1,2]`, `["w-x",[["t",1,"c"]]]`, `["w-x"]`, `[]`, `["w-x",0,[]]`, `["w-x",[["t",1,"c","COMPLETED",true,0,5,0,"",null,null]]]`}
	for range n {
		var frames [][]byte
		if envelope && r.IntN(8) > 0 {
			frames = append(frames, []byte{})
		}
		for range 1 + r.IntN(3) {
			switch r.IntN(4) {
			case 0:
				frames = append(frames, some(40))
			default:
				header := []byte(headers[r.IntN(len(headers))])
				for range r.IntN(3) {
					header[r.IntN(len(header))] = byte(r.Uint32())
				}
				frames = append(frames, []byte{byte(2 + r.IntN(60)), byte(r.IntN(20)/19*3) ^ 1}, header, some(9))
			}
		}
		_, err := s.SendMessage(frames)
		for try := 0; errors.Is(err, zmq4.Errno(syscall.EAGAIN)) && try < 30; try++ {
			_, err = s.SendMessage(frames) // the other side is busy with the others
		}
		if err != nil {
			t.Errorf("noise: %v", err)
			return
		}
	}
}
