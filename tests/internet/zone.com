@ 60 IN NS ns.tld.example.
googleapis 60 IN NS ns.zones.example.
