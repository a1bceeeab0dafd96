@ 60 IN NS ns.zones.example.
gmail 60 IN A 192.0.2.30
www 60 IN A 192.0.2.30
oauth2 60 IN A 192.0.2.30
people 60 IN A 192.0.2.30
