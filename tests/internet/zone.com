@ 60 IN NS ns.tld.example.
googleapis 60 IN NS ns.zones.example.
discord 60 IN A 192.0.2.12
