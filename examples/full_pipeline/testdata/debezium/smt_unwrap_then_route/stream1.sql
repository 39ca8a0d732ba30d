insert into o values (3,'y',4.5,9);
update o set a='z' where id=1;
update o set id=30 where id=3;
delete from o where id=2;
begin; update f set a='r' where id=1; delete from f where id=1; insert into nk values (2,'m'); commit;
