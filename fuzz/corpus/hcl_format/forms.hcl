# every form
path "secret/*" { capabilities = ["read", "list",] }
storage "lmdb" { path = "/var/lib/rekey" }
a.b-c = 0x1F, /* two */
text = <<-EOF
  one
  EOF
// e
o = { x = -1.5e3 y = "\u00e9\x41${file("x")}" }
