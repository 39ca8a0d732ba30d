insert into te0(id) values (2);
insert into te30(id) values (2);
insert into te60(id, n74, n75, n76, n77, n78, n79, n80, n81, n82, n83, n84, n85, n86, n87, n88, n89) values (2, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null);
insert into te90(id, n90, n91) values (2, null, null);
insert into te120(id, n137) values (2, null);
insert into te150(id) values (2);
insert into te180(id, n182) values (2, null);
