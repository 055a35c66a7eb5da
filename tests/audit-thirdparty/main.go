// Checks a log that Rekey wrote with code that Rekey's authors didn't write: the Go project's note and
// tlog packages, as Debian's golang-golang-x-mod-dev ships them.
//
//	main LOGDIR VERIFIERKEY OLDCHECKPOINT CONSISTENCYPROOF TLOGPROOF...
//
// LOGDIR is the folder with `checkpoint` and `tile`. OLDCHECKPOINT is a signed note kept from before,
// CONSISTENCYPROOF one base64 hash a line between the two, each TLOGPROOF a c2sp.org/tlog-proof with
// the entry as extra data. Exits 0 and says what it checked, or 1 and what is wrong.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func fail(format string, arguments ...interface{}) {
	fmt.Printf(format+"\n", arguments...)
	os.Exit(1)
}

func must(err error, what string) {
	if err != nil {
		fail("%s: %v", what, err)
	}
}

// The tile paths of the Go checksum database carry the tile's height; those of C2SP don't.
func c2spPath(tile tlog.Tile) string {
	return strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
}

type tileFiles struct{ dir string }

func (tileFiles) Height() int { return 8 }
func (files tileFiles) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, tile := range tiles {
		bytes, err := os.ReadFile(filepath.Join(files.dir, c2spPath(tile)))
		if err != nil && tile.W < 256 {
			// A partial tile goes when the full one is there.
			full := tile
			full.W = 256
			bytes, err = os.ReadFile(filepath.Join(files.dir, c2spPath(full)))
			if err == nil {
				bytes = bytes[:tile.W*tlog.HashSize]
			}
		}
		if err != nil {
			return nil, err
		}
		out = append(out, bytes)
	}
	return out, nil
}
func (tileFiles) SaveTiles([]tlog.Tile, [][]byte) {}

// Opens a signed note and reads the tree head in it: origin, size, root.
func openCheckpoint(text []byte, verifier note.Verifier) tlog.Tree {
	opened, err := note.Open(text, note.VerifierList(verifier))
	must(err, "checkpoint's signature")
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 3 || lines[0] != verifier.Name() {
		fail("checkpoint of another log: %q", opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err, "checkpoint's size")
	root, err := tlog.ParseHash(lines[2])
	must(err, "checkpoint's root")
	return tlog.Tree{N: size, Hash: root}
}

func readBundle(dir string, index, size int64) [][]byte {
	tile := tlog.Tile{H: 8, L: -1, N: index, W: 256}
	if size-index*256 < 256 {
		tile.W = int(size - index*256)
	}
	path := strings.Replace(tile.Path(), "tile/8/data", "tile/entries", 1)
	bytes, err := os.ReadFile(filepath.Join(dir, path))
	must(err, "entry bundle")
	var entries [][]byte
	for len(bytes) > 0 {
		length := int(binary.BigEndian.Uint16(bytes))
		entries = append(entries, bytes[2:2+length])
		bytes = bytes[2+length:]
	}
	if len(entries) != tile.W {
		fail("%s has %d entries instead of %d", path, len(entries), tile.W)
	}
	return entries
}

func checkTlogProof(path string, verifier note.Verifier) {
	text, err := os.ReadFile(path)
	must(err, "tlog-proof")
	head, checkpoint, found := strings.Cut(string(text), "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		fail("%s is not a tlog-proof", path)
	}
	entry, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	must(err, "extra data")
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	must(err, "index")
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		must(err, "path")
		proof = append(proof, hash)
	}
	tree := openCheckpoint([]byte(checkpoint), verifier)
	must(tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)), path)
	entry[0] ^= 1
	if tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)) == nil {
		fail("%s holds for another entry too", path)
	}
}

func main() {
	dir := os.Args[1]
	verifier, err := note.NewVerifier(os.Args[2])
	must(err, "verifier key")
	text, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	must(err, "checkpoint")
	tree := openCheckpoint(text, verifier)
	oldText, err := os.ReadFile(os.Args[3])
	must(err, "old checkpoint")
	old := openCheckpoint(oldText, verifier)

	// Every entry is in the signed tree, by proofs that the library makes from our tiles.
	hashes := tlog.TileHashReader(tree, tileFiles{dir})
	for index := int64(0); index < tree.N; index++ {
		if index%256 != 0 && index%37 != 0 && index+1 != tree.N {
			continue
		}
		proof, err := tlog.ProveRecord(tree.N, index, hashes)
		must(err, "inclusion proof")
		entry := readBundle(dir, index/256, tree.N)[index%256]
		must(tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)), "inclusion")
	}
	leaves := int64(0)
	for bundle := int64(0); bundle*256 < tree.N; bundle++ {
		for i, entry := range readBundle(dir, bundle, tree.N) {
			stored, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, bundle*256+int64(i))})
			must(err, "leaf hash")
			if stored[0] != tlog.RecordHash(entry) {
				fail("entry %d is not what its leaf says", bundle*256+int64(i))
			}
			leaves++
		}
	}

	// The older tree is a prefix of the newer one: by the library's proof and by ours.
	proof, err := tlog.ProveTree(tree.N, old.N, hashes)
	must(err, "consistency proof")
	must(tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash), "consistency")
	ours, err := os.ReadFile(os.Args[4])
	must(err, "our consistency proof")
	var ourProof tlog.TreeProof
	for _, line := range strings.Fields(string(ours)) {
		hash, err := tlog.ParseHash(line)
		must(err, "our consistency proof")
		ourProof = append(ourProof, hash)
	}
	must(tlog.CheckTree(ourProof, tree.N, tree.Hash, old.N, old.Hash), "our consistency proof")
	old.Hash[0] ^= 1
	if tlog.CheckTree(ourProof, tree.N, tree.Hash, old.N, old.Hash) == nil {
		fail("the consistency proof holds for another tree too")
	}

	for _, path := range os.Args[5:] {
		checkTlogProof(path, verifier)
	}
	fmt.Printf("checked %d entries under %q, %d proofs\n", leaves, verifier.Name(), len(os.Args[5:]))
}
